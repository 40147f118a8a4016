--[[ remote_count.lua: what hits mean and do. The same decisions as site_record.c takes for files. --]]

---- A hit: what it changes, decided from its visitor's score ----------------------------------------------------------

-- Can `recent` still tell whether a visitor was in t's period? In the open one and, but for years, in the one before.
local function covered(now, kind, t)
    if t >= now.start[kind] then
        return true
    end
    return kind ~= YEAR and t >= now.previous[kind] and site.forgotten < now.previous[kind]
end

-- In time order. Gives the new score.
local function decide_next(hit, seen, bits)
    local kept = 0
    hit.visit = hit.t - seen > GAP
    for kind = DAY, YEAR do
        local digit = digits[kind]
        if seen >= hit.frame.start[kind] then
            kept = kept + (has(bits, digit) and digit or 0)
        else
            hit.fresh[kind] = true
            kept = kept + (seen >= hit.frame.previous[kind] and digit or 0)
        end
    end
    return hit.t > seen and hit.t * 10 + kept or seen * 10 + bits
end

-- After a newer hit of its visitor: it belongs to the visit within 30 minutes of it.
local function decide_late(hit, seen, bits)
    local last = frame_of(seen)
    hit.late = true
    hit.visit = seen - hit.t > GAP
    for kind = DAY, YEAR do
        if hit.t < last.start[kind] then
            if kind == YEAR or hit.t < last.previous[kind] then
                hit.unsure[kind], hit.fresh[kind] = true, true
            elseif not has(bits, digits[kind]) then
                hit.fresh[kind] = true
                bits = bits + digits[kind]
            end
        end
    end
    return seen * 10 + bits
end

-- The time before which there is no room for strangers, or false: asked for with the first one of a batch.
local function oldest_of(batch)
    if batch.oldest == nil then
        batch.known = redis.call('ZCARD', recent)
        batch.oldest = batch.known >= site.capacity and
            seen_of(tonumber(redis.call('ZRANGE', recent, 0, 0, 'WITHSCORES')[2]))
    end
    return batch.oldest
end

local function decide_stranger(hit, batch)
    local oldest = oldest_of(batch)
    hit.stranger, hit.visit = true, true
    hit.fresh = {true, true, true, true}
    if oldest and hit.t <= oldest then -- no room for one so old: known to the sketches only
        hit.late = true
        hit.unsure, hit.unsure_ever = {true, true, true, true}, true
        return nil
    end
    local seen = hit.previous and batch.score[hit.previous]
    if seen then -- just after a rotation, under the key before: the visit goes on
        seen = seen_of(seen)
        hit.visit = hit.t - seen > GAP or seen - hit.t > GAP
        hit.rejoins = true
    end
    return hit.t * 10
end

local function decide(hit, batch)
    local score = batch.score[hit.visitor]
    if not score then
        score = decide_stranger(hit, batch)
    else
        local seen = seen_of(score)
        local next_of = hit.t >= seen and decide_next or decide_late
        score = next_of(hit, seen, score % 10)
    end
    if hit.t < site.clock then
        local now = frame_of(site.clock)
        for kind = DAY, YEAR do
            if hit.fresh[kind] and not covered(now, kind, hit.t) then
                hit.unsure[kind] = true
            end
        end
    end
    return score
end

---- A batch of hits of one day: decided in order, added up, and then written ------------------------------------------

local batch = {}

local NORMAL, UNKNOWN, NOBODY = (' ?-'):byte(1, 3)

-- Words of every hit: its visitor (and behind it, whom it was under the key before), and the second. In front of all
-- of them: their 64-bit ids, 8 bytes each; two bytes each that say the clock hour, as 'A' to 'X', or '-': not counted,
-- and ' ': a visitor, '?': an unknown one, or a digit: what is not counted, which stands in the list that follows.
local function read_hits(n)
    batch.n, batch.ids, batch.marks, batch.excluded = n, '', '', {}
    batch.visitor, batch.t, batch.text = {}, {}, {}
    if n == 0 then
        return
    end
    batch.ids, batch.marks = word(), word()
    for i = 1, number() do
        batch.excluded[i] = word()
    end
    local visitor, t, text = batch.visitor, batch.t, batch.text
    for i = 1, n do
        visitor[i], text[i] = ARGV[argument + 1], ARGV[argument + 2]
        t[i] = tonumber(text[i])
        argument = argument + 2
    end
end

local function is_counted(i)
    return batch.marks:byte(2 * i - 1) ~= NOBODY
end

-- Cuts the batch before the first hit whose time is impossible. The clock behind it, and whether it counts any hit.
local function admit()
    local clock, counts, oldest, times = site.clock, false, site.clock - site.retention, batch.t
    batch.refused = ''
    for i = 1, batch.n do
        local t = times[i]
        if clock > 0 and (t < oldest or t > clock + LEAP and t > site.accepted) then
            batch.refused = t < clock and 'old' or 'leap'
            batch.n = i - 1
            break
        end
        if is_counted(i) then
            counts = true
            if t > clock then
                clock, oldest = t, t - site.retention
            end
        end
    end
    return clock, counts
end

local function read_scores()
    local members, score = {}, {}
    for i = 1, batch.n do
        local who = batch.visitor[i]
        if #who > 11 then
            members[#members + 1] = who:sub(12)
            who = who:sub(1, 11)
        end
        if who ~= '' then
            members[#members + 1] = who
        end
    end
    batch.score, batch.newest = score, 0
    if #members == 0 then
        return
    end
    local scores = redis.pcall('ZMSCORE', recent, unpack(members))
    if scores.err then -- before Redis 6.2
        scores = {}
        for i = 1, #members do
            scores[i] = redis.call('ZSCORE', recent, members[i])
        end
    end
    for i = 1, #members do
        local known = tonumber(scores[i])
        score[members[i]] = known
        batch.newest = known and known > batch.newest and known or batch.newest
    end
end

-- The calendars that are needed and were not given, or nil.
local function missing_frames(clock, at)
    local missing = {}
    local function need(t)
        if t > 0 and not frame_of(t) then
            missing[#missing + 1] = t
        end
    end
    need(clock)
    need(at)
    if batch.n > 0 and batch.newest >= frames[1].finish[DAY] * 10 then
        for i = 1, batch.n do
            local score = batch.score[batch.visitor[i]:sub(1, 11)]
            if score and seen_of(score) > batch.t[i] then
                need(seen_of(score))
            end
        end
    end
    return #missing > 0 and missing or nil
end

local function add(sums, field, n)
    sums[field] = (sums[field] or 0) + n
end

-- Adds a decided hit to the sums of its periods, its visitor to their sketches.
local function add_visitor(hit)
    for kind = DAY, YEAR do
        if hit.fresh[kind] then
            batch.fed[kind][#batch.fed[kind] + 1] = hit.id
            if hit.unsure[kind] then
                add(batch.sums[kind], 'unsure', 1)
            elseif site.forgotten < hit.frame.start[kind] then
                add(batch.sums[kind], 'visitors', 1)
            end
        end
    end
    if hit.stranger then
        batch.strangers = batch.strangers + 1
        batch.fed.all[#batch.fed.all + 1] = hit.id
        if hit.unsure_ever then
            add(batch.sums.all, 'unsure', 1)
        elseif site.forgotten == 0 then
            add(batch.sums.all, 'visitors', 1)
        end
    end
end

local function add_hit_of(i, frame, t)
    local who = batch.visitor[i]
    local hit = {t = t, frame = frame, fresh = {}, unsure = {}, id = batch.ids:sub(8 * i - 7, 8 * i),
        visitor = who:sub(1, 11), previous = #who > 11 and who:sub(12)}
    local before, score = batch.score[hit.visitor], decide(hit, batch)
    add_visitor(hit)
    if score and score ~= before then
        batch.score[hit.visitor], batch.changed[hit.visitor] = score, string.format('%d', score)
    end
    if hit.rejoins then
        batch.left[hit.previous], batch.changed[hit.previous] = batch.score[hit.previous], nil
        batch.score[hit.previous] = nil
    end
    batch.late = batch.late + (hit.late and 1 or 0)
    batch.visits = batch.visits + (hit.visit and 1 or 0)
end

local function add_unknown()
    for _, sums in pairs(batch.sums) do
        add(sums, 'unsure', 1)
    end
    batch.late = batch.late + 1
end

local function add_special(i, frame, mark)
    if mark == NORMAL then
        add_hit_of(i, frame, batch.t[i])
    elseif mark == UNKNOWN then
        add_unknown()
    else
        add(batch.sums[DAY], 'excluded:' .. batch.excluded[mark - 48], 1)
    end
end

-- Nearly all hits are of a visitor who was seen on the same day, before: they move its score and nothing else.
local function add_hits(frame)
    local visitor, times, text, marks = batch.visitor, batch.t, batch.text, batch.marks
    local score_of, changed, hours, today = batch.score, batch.changed, batch.hours, frame.start[DAY] * 10
    for i = 1, batch.n do
        local who, t = visitor[i], times[i]
        local hour, mark = marks:byte(2 * i - 1, 2 * i)
        local score = score_of[who]
        if mark == NORMAL and score and score >= today and t * 10 + 9 >= score then
            local digit = score % 10
            local since = t - (score - digit) / 10
            if since > 0 then
                batch.visits = batch.visits + (since > GAP and 1 or 0)
                score_of[who], changed[who] = t * 10 + digit, text[i] .. digit
            end
        else
            add_special(i, frame, mark)
        end
        if hour ~= NOBODY then
            hours[hour] = (hours[hour] or 0) + 1
            batch.hits = batch.hits + 1
            batch.since = (batch.since == 0 or t < batch.since) and t or batch.since
            site.clock = t > site.clock and t or site.clock
        end
    end
end

-- A command that must not fail once something was written. Where it does all the same (a damaged key, a missing right), what
-- was added is taken back, and the call ends with the server's words as if nothing had been sent.
local added = {}

local function try(...)
    local result = redis.pcall(...)
    if type(result) == 'table' and result.err then
        for i = 1, #added, 3 do
            redis.call('HINCRBY', added[i], added[i + 1], -added[i + 2])
        end
        error(result)
    end
    return result
end

local function increase(key, field, n)
    local sum = try('HINCRBY', key, field, n)
    local end_ = #added
    added[end_ + 1], added[end_ + 2], added[end_ + 3] = key, field, n
    return sum
end

local function write_sums(key, sums)
    if batch.hits > 0 then
        increase(key, 'hits', batch.hits)
    end
    if batch.visits > 0 then
        increase(key, 'visits', batch.visits)
    end
    for field, n in pairs(sums) do
        increase(key, field, n)
    end
end

-- What a damaged sketch does not take is no reason to stop counting.
local function feed(sketch, ids)
    if #ids == 0 then
        return
    end
    local result = redis.pcall('PFADD', sketch, unpack(ids))
    if type(result) == 'table' and not (result.err:find('WRONGTYPE', 1, true) or result.err:find('INVALIDOBJ', 1, true)) then
        error(result)
    end
end

-- Sketches first: a visitor in a sketch whose hit was not counted does no harm, the other way round it would.
local function write(frame)
    for kind = DAY, YEAR do
        feed(sketch_of(kind, frame.name[kind]), batch.fed[kind])
    end
    feed(base .. 'visitors:all', batch.fed.all)
    for hour, n in pairs(batch.hours) do
        batch.sums[DAY][string.format('hour:%02d', hour - 65)] = n
    end
    for kind = DAY, YEAR do
        write_sums(period_of(kind, frame.name[kind]), batch.sums[kind])
    end
    write_sums(base .. 'all', batch.sums.all)
    if batch.late > 0 then
        site.late = increase(meta, 'late', batch.late)
    end
    if batch.hits > 0 then
        try('HSET', meta, 'clock', site.clock, 'since', batch.since)
    end
    local changed, n = {}, 0
    for visitor, score in pairs(batch.changed) do
        changed[n + 1], changed[n + 2] = score, visitor
        n = n + 2
    end
    if n > 0 then
        try('ZADD', recent, unpack(changed))
    end
end

local function tidy(frame, now)
    for visitor, score in pairs(batch.left) do
        make_nameless(visitor, string.format('%d', score))
    end
    if batch.strangers > 0 and batch.known + batch.strangers > site.capacity then
        trim(now, redis.call('ZCARD', recent))
    end
    expire_closed(frame, now)
end

local function count(counts)
    local frame = frames[1]
    if counts and site.clock < frame.start[DAY] then
        redis.call('HSET', meta, 'capacity', site.capacity) -- as it is: a full server refuses here, with nothing done
        enter(frame)
        forget_due(frame, batch.score)
    end
    batch.fed, batch.sums = {{}, {}, {}, {}, all = {}}, {{}, {}, {}, {}, all = {}}
    batch.changed, batch.left, batch.hours = {}, {}, {}
    batch.hits, batch.visits, batch.late, batch.strangers, batch.since = 0, 0, 0, 0, site.since
    add_hits(frame)
    local now = frame_of(site.clock) or frame
    write(frame)
    pcall(tidy, frame, now) -- the hits are counted: what fails here is done by the next call
end
