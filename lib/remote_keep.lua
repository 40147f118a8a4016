--[[ remote_keep.lua: what is done to a site besides counting. --]]

local operations = {}

-- Every operation but `open` begins with the site's id and 1 in a cluster, 0 elsewhere. The answer where nothing is to be
-- done, or nil.
local function refuse()
    local id, slots = word(), number()
    local refusal = load_site(id)
    if refusal then
        return refusal
    end
    if slots > 0 and is_moving({meta, recent, nameless, base .. 'keys', base .. 'all', base .. 'visitors:all'}) then
        return {'moving'}
    end
    return nil
end

-- What is fixed, field and value in turn; with a count of 0 nothing is made.
function operations.open()
    local n = number()
    if n > 0 and redis.call('EXISTS', meta) == 0 then
        local fields = {}
        for i = 1, n do
            fields[i] = word()
        end
        redis.call('HSET', meta, unpack(fields))
    end
    return redis.call('HGETALL', meta)
end

-- What changes about the site besides its figures.
function operations.state()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    return {'ok', site.clock, site.since, site.accepted, site.forgotten, site.late, site.baseline[1], site.baseline[2],
        site.baseline[3], redis.call('ZCARD', recent), site.capacity}
end

-- Whom to forget.
function operations.erase()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local visitor = word()
    local score = redis.call('ZSCORE', recent, visitor)
    if not score then
        return {'ok', 0}
    end
    make_nameless(visitor, score)
    return {'ok', 1}
end

-- The name before which all keys are destroyed, the period asked for and a new key for it ("": none is made), and the
-- period before.
function operations.keys()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    local oldest, name, key, before = word(), word(), word(), word()
    local keys = base .. 'keys'
    if oldest ~= '' then
        for _, old in ipairs(redis.call('HKEYS', keys)) do
            if old < oldest then
                redis.call('HDEL', keys, old)
            end
        end
    end
    if key ~= '' then
        redis.call('HSETNX', keys, name, key)
    end
    return {'ok', redis.call('HGET', keys, name) or '', before ~= '' and redis.call('HGET', keys, before) or ''}
end

-- Field and value in turn: raised, never lowered.
function operations.raise()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    while argument < #ARGV do
        local field, value = word(), number()
        if value > (tonumber(redis.call('HGET', meta, field)) or 0) then
            redis.call('HSET', meta, field, value)
        end
    end
    return {'ok'}
end

-- Visitors, visits, hits of an older counter.
function operations.baseline()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    redis.call('HSET', meta, 'baseline_visitors', word(), 'baseline_visits', word(), 'baseline_hits', word())
    return {'ok'}
end

-- The ends of all names that the site may have.
function operations.remove()
    local refusal = refuse()
    if refusal then
        return refusal
    end
    while argument < #ARGV do
        redis.call('UNLINK', base .. word())
    end
    redis.call('UNLINK', recent, nameless, base .. 'keys', base .. 'all', base .. 'visitors:all', base .. 'copy', meta)
    return {'ok'}
end
