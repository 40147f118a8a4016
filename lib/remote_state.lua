--[[
remote_state.lua: the counts of one site inside Redis. Two scripts begin with it: one counts hits and answers with windows
(remote_count.lua, remote_answer.lua), the other does everything else (remote_keep.lua, remote_merge.lua). Every call is
one run of one of them: all or nothing to everybody else, and one round trip to whoever asked.

KEYS[1] is the site's own hash, "PREFIX:{SITE}:meta". All other keys begin like it and share its hash tag, so they live
in the same slot of a cluster. KIND is day, week, month or year, NAME the period's first date as "2026-11-23", "2026-11"
or "2026"; all time is "all".

    meta                    HASH  what is fixed (layout, id, timezone, ...), and: clock since accepted forgotten late
                                  baseline_*; current_KIND and before_KIND, the periods that windows show
    recent                  ZSET  visitor -> last seen: s since 1970, and one digit more (below)
    nameless                ZSET  last seen of visitors that were erased but stay counted
    keys                    HASH  identity keys by period, where keys rotate
    KIND:NAME, all          HASH  hits visits visitors, unsure shown estimate; days: hour:HH excluded:VERDICT
    visitors:KIND:NAME, visitors:all    HyperLogLog of 64-bit ids

Only days, weeks and the sketches of months expire, once no window shows them any more. Months, years, all time, recent
and meta do not, so a server that evicts what expires (volatile-ttl) takes nothing that is shown.

The last digit of a visitor's score is a sum of 4, also seen in the day before last seen's, 2, in the week before, and 1,
in the month before. So a late hit knows whether its visitor was counted there already. Scores are whole numbers:
the digit is put behind a time as text.

`visitors` counts hits that were a visitor's first in the period. It is exact until a visitor is dropped from `recent`
whom the period still needed: then `estimate` keeps the sketch's count of that moment, and what is shown from then on is
visitors + (sketch now - estimate). `forgotten` is the time of the newest visitor dropped.

The scripts ask for no time and no chance: moments and calendars are arguments. A calendar that one lacks it asks for,
having changed nothing: {"frames", t, ...}. Other answers without any change are {"gone"}, when the site is not the one
(by its random id) that the caller knows, and {"moving"}, when its slot is on the way to another server.
--]]
local meta, base = KEYS[1], KEYS[1]:sub(1, -5)
local recent, nameless = base .. 'recent', base .. 'nameless'
local kinds, digits = {'day', 'week', 'month', 'year'}, {4, 2, 1, 0}
local DAY, MONTH, YEAR = 1, 3, 4
local GAP, ONLINE, FUTURE, LEAP, LAST = 1800, 300, 60, 400 * 86400, 3092440447

local argument = 0
local function word()
    argument = argument + 1
    return ARGV[argument]
end
local function number()
    return tonumber(word())
end

local function has(bits, bit)
    return bit > 0 and bits % (2 * bit) >= bit
end

local function seen_of(score)
    return math.floor(score / 10)
end

---- Calendars: the day that holds a moment, with its week, month and year ---------------------------------------------

local frames = {}

local function read_frames()
    for i = 1, number() do
        local start, finish, previous, name, before = {}, {}, {}, {}, {}
        for kind = DAY, YEAR do
            start[kind], finish[kind] = tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
            previous[kind], name[kind], before[kind] = tonumber(ARGV[argument + 3]), ARGV[argument + 4], ARGV[argument + 5]
            argument = argument + 5
        end
        frames[i] = {start = start, finish = finish, previous = previous, name = name, before = before}
    end
end

local function frame_of(t)
    for i = 1, #frames do
        if t >= frames[i].start[DAY] and t < frames[i].finish[DAY] then
            return frames[i]
        end
    end
    return nil
end

local function period_of(kind, name)
    return base .. kinds[kind] .. ':' .. name
end
local function sketch_of(kind, name)
    return base .. 'visitors:' .. kinds[kind] .. ':' .. name
end

---- The site's state --------------------------------------------------------------------------------------------------

local site = {}

local function is_between(value, least, most)
    return value and value >= least and value <= most
end

-- What is to be answered instead, where there is no such site, another one of that name, or one whose hash holds what
-- cannot be; else nil.
local function load_site(id)
    local fields = redis.call('HMGET', meta, 'id', 'clock', 'since', 'accepted', 'forgotten', 'late', 'capacity',
        'forget_days', 'retention_days', 'baseline_visitors', 'baseline_visits', 'baseline_hits')
    if fields[1] ~= id then
        return {'gone'}
    end
    for i = 2, 9 do
        fields[i] = tonumber(fields[i] or 0)
    end
    site.clock, site.since, site.accepted, site.forgotten = fields[2], fields[3], fields[4], fields[5]
    site.late, site.capacity = fields[6], fields[7]
    if not (is_between(site.clock, 0, LAST) and is_between(site.since, 0, LAST) and is_between(site.accepted, 0, LAST) and
            is_between(site.forgotten, 0, LAST) and site.late and is_between(site.capacity, 1, 8388608) and
            is_between(fields[8], 1, 4000) and is_between(fields[9], 1, 4000)) then
        return {'damaged'}
    end
    site.forget, site.retention = fields[8] * 86400, fields[9] * 86400
    site.baseline = {fields[10] or '0', fields[11] or '0', fields[12] or '0'}
    return nil
end

-- While a slot moves, keys are on either side or nowhere yet, and to touch one that is not here is an error, or says that
-- there is none. So in a cluster all keys that a run may touch are touched first, at once.
local function is_moving(keys)
    return type(redis.pcall('EXISTS', unpack(keys))) ~= 'number'
end

local function expire(kind, name)
    local seconds = site.retention + 2 * 86400
    if kind ~= MONTH then
        redis.call('EXPIRE', period_of(kind, name), seconds)
    end
    redis.call('EXPIRE', sketch_of(kind, name), seconds)
end

-- The clock enters a new day: periods that leave yesterday, last week and last month begin to expire. The day itself may
-- have been expiring, as long as nothing was counted in it.
local function enter(frame)
    redis.call('PERSIST', period_of(DAY, frame.name[DAY]))
    local fields = redis.call('HMGET', meta, 'current_day', 'before_day', 'current_week', 'before_week',
        'current_month', 'before_month')
    local set = {}
    for kind = DAY, MONTH do
        local current, before = fields[2 * kind - 1], fields[2 * kind]
        if current ~= frame.name[kind] then
            if current and current ~= frame.before[kind] then
                expire(kind, current)
            end
            if before and before ~= frame.before[kind] then
                expire(kind, before)
            end
            set[#set + 1], set[#set + 2] = 'current_' .. kinds[kind], frame.name[kind]
            set[#set + 1], set[#set + 2] = 'before_' .. kinds[kind], frame.before[kind]
        end
    end
    if #set > 0 then
        redis.call('HSET', meta, unpack(set))
    end
end

-- A hit may have made a period anew that no window shows: a late one, or on a day that only has what is not counted.
local function expire_closed(frame, now)
    for kind = DAY, MONTH do
        local name = frame.name[kind]
        local unseen = frame.start[kind] < now.previous[kind] or kind == DAY and frame.start[DAY] > site.clock
        if unseen and (kind ~= MONTH and redis.call('TTL', period_of(kind, name)) == -1 or
                redis.call('TTL', sketch_of(kind, name)) == -1) then
            expire(kind, name)
        end
    end
end

-- What a damaged sketch says is nothing, and no reason to stop counting.
local function estimate_of(sketch)
    local estimate = redis.pcall('PFCOUNT', sketch)
    return type(estimate) == 'number' and estimate or false
end

-- Visitors last seen up to `time` are about to be dropped: the open periods that needed one of them go on as estimates.
local function forget(time, now)
    if time <= site.forgotten then
        return
    end
    for kind = DAY, YEAR do
        if site.forgotten < now.start[kind] and now.start[kind] <= time then
            redis.call('HSETNX', period_of(kind, now.name[kind]), 'estimate',
                estimate_of(sketch_of(kind, now.name[kind])) or 0)
        end
    end
    if site.forgotten == 0 then
        redis.call('HSETNX', base .. 'all', 'estimate', estimate_of(base .. 'visitors:all') or 0)
    end
    site.forgotten = time
    redis.call('HSET', meta, 'forgotten', time)
end

local function forget_due(now, score)
    local due = (now.start[DAY] - site.forget) * 10
    local before = '(' .. due
    local newest = redis.call('ZREVRANGEBYSCORE', recent, before, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if newest then
        forget(seen_of(tonumber(newest)), now)
        redis.call('ZREMRANGEBYSCORE', recent, '-inf', before)
    end
    redis.call('ZREMRANGEBYSCORE', nameless, '-inf', before)
    for visitor, seen in pairs(score) do
        if seen < due then
            score[visitor] = nil
        end
    end
end

local function trim(now, card)
    local excess = card - site.capacity
    if excess <= 0 then
        return
    end
    local newest = redis.call('ZRANGE', recent, excess - 1, excess - 1, 'WITHSCORES')[2]
    forget(seen_of(tonumber(newest)), now)
    redis.call('ZREMRANGEBYRANK', recent, 0, excess - 1)
    redis.call('ZREMRANGEBYSCORE', nameless, '-inf', site.forgotten * 10 + 9)
end

-- The n-th of its score gets a member of its own.
local function add_nameless(score)
    local n = redis.call('ZCOUNT', nameless, score, score)
    while redis.call('ZADD', nameless, 'NX', score, score .. '#' .. n) == 0 do
        n = n + 1
    end
end

-- Erased, or continued under a new key: counted, but nobody's.
local function make_nameless(visitor, score)
    redis.call('ZREM', recent, visitor)
    add_nameless(score)
end

