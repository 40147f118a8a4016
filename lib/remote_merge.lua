
--[[
remote_merge.lua: parts of a site that come from another store (copy.h). Merging is taking the maximum, so the same part
twice changes nothing.
--]]

local function raise(key, field, value)
    if value > (tonumber(redis.call('HGET', key, field)) or 0) then
        redis.call('HSET', key, field, value)
    end
end

-- clock since accepted forgotten late, baseline (visitors visits hits) | the clock's calendar
function operations.merge_state()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local clock, since, accepted, forgotten, late = number(), number(), number(), number(), number()
    local baseline = {word(), word(), word()}
    read_frames()
    if clock > site.clock then
        enter(frames[1])
    end
    raise(meta, 'clock', clock)
    raise(meta, 'accepted', accepted)
    raise(meta, 'forgotten', forgotten)
    raise(meta, 'late', late)
    if since > 0 and (site.since == 0 or since < site.since) then
        redis.call('HSET', meta, 'since', since)
    end
    if site.baseline[1] == '0' and site.baseline[2] == '0' and site.baseline[3] == '0' then
        redis.call('HSET', meta, 'baseline_visitors', baseline[1], 'baseline_visits', baseline[2], 'baseline_hits',
            baseline[3])
    end
    return {'ok'}
end

-- An exact number grows. One that ended elsewhere ends here too, unless it has: the estimate then moves along with the
-- number that is known here.
local function merge_visitors_of(key, visitors, estimate)
    if redis.call('HEXISTS', key, 'estimate') == 1 then
        return
    end
    local known = math.max(visitors, tonumber(redis.call('HGET', key, 'visitors')) or 0)
    raise(key, 'visitors', known)
    if estimate then
        redis.call('HSET', key, 'estimate', estimate + known - visitors)
    end
end

-- A key of a period, which ends, with the hour after it, at `last`: destroyed already where the clock is past that.
function operations.merge_key()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local name, key, last = word(), word(), number()
    if site.clock >= last then
        return {'ok', key}
    end
    redis.call('HSETNX', base .. 'keys', name, key)
    return {'ok', redis.call('HGET', base .. 'keys', name)}
end

-- Periods that are made of others, longest last: n, a period's key, how many it is made of, and their keys; and so on.
function operations.merge_sums()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    for _ = 1, number() do
        local key, hits, visits = base .. word(), 0, 0
        for _ = 1, number() do
            local fields = redis.call('HMGET', base .. word(), 'hits', 'visits')
            hits, visits = hits + (tonumber(fields[1]) or 0), visits + (tonumber(fields[2]) or 0)
        end
        raise(key, 'hits', hits)
        raise(key, 'visits', visits)
    end
    return {'ok'}
end

-- The period's key, visitors and, where its exactness ended, the estimate then ("": it did not); how many fields, keys
-- that expire and keys of sketches follow; fields with their numbers; keys; a sketch and the keys it goes to.
function operations.merge_period()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local key, visitors, estimate = base .. word(), number(), tonumber(word())
    local fields, expiring, sketches = number(), number(), number()
    merge_visitors_of(key, visitors, estimate)
    for _ = 1, fields do
        local field = word()
        raise(key, field, number())
    end
    local expire_at = argument
    argument = argument + expiring
    if sketches > 0 then
        local from = base .. 'copy'
        redis.call('SET', from, word())
        local failure
        for _ = 1, sketches do
            local result = redis.pcall('PFMERGE', base .. word(), from)
            failure = result.err and result or failure
        end
        redis.call('UNLINK', from)
        if failure then
            return failure
        end
    end
    for i = expire_at + 1, expire_at + expiring do
        if redis.call('TTL', base .. ARGV[i]) == -1 then
            redis.call('EXPIRE', base .. ARGV[i], site.retention + 2 * 86400)
        end
    end
    return {'ok'}
end

-- Later wins; of the same second, what either knows of the periods before.
local function merge_visitor(visitor, new, old)
    if seen_of(old) == seen_of(new) then
        local both = 0
        for kind = DAY, MONTH do
            if has(old % 10, digits[kind]) or has(new % 10, digits[kind]) then
                both = both + digits[kind]
            end
        end
        new = seen_of(new) * 10 + both
    end
    if new > old then
        redis.call('ZADD', recent, string.format('%d', new), visitor)
    end
end

-- How many visitors stand here under that score who did not come.
local function others_of(score, came)
    local others = 0
    for _, visitor in ipairs(redis.call('ZRANGEBYSCORE', recent, score, score)) do
        others = others + (came[visitor] and 0 or 1)
    end
    return others
end

-- All visitors that came with one score: some by name, some nameless. Whoever is unknown here, where somebody nameless has
-- that score, was erased here and stays so; a nameless one is somebody who still has a name here, or new.
local function merge_group(score, visitors, unnamed)
    local spare, came = redis.call('ZCOUNT', nameless, score, score), {}
    for _, visitor in ipairs(visitors) do
        local old = redis.call('ZSCORE', recent, visitor)
        came[visitor] = true
        if old then
            merge_visitor(visitor, tonumber(score), tonumber(old))
        elseif spare > 0 then
            spare = spare - 1
        else
            redis.call('ZADD', recent, score, visitor)
        end
    end
    if unnamed > spare then
        for _ = 1, unnamed - spare - others_of(score, came) do
            add_nameless(score)
        end
    end
end

-- n | visitor ("": nameless) and score, in the order of scores | the clock's calendar. All of one score come together.
function operations.merge_visitors()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local last, visitors, unnamed = nil, {}, 0
    for _ = 1, number() do
        local visitor, score = word(), word()
        if last and score ~= last then
            merge_group(last, visitors, unnamed)
            visitors, unnamed = {}, 0
        end
        last = score
        if visitor == '' then
            unnamed = unnamed + 1
        else
            visitors[#visitors + 1] = visitor
        end
    end
    if last then
        merge_group(last, visitors, unnamed)
    end
    read_frames()
    trim(frames[1], redis.call('ZCARD', recent))
    return {'ok'}
end

return operations[word()]()
