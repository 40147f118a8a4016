--[[ remote_answer.lua: what is shown, after a batch of hits or alone. --]]

---- Answers -----------------------------------------------------------------------------------------------------------

-- The windows in the order of enum counter_window; and those that lie inside each one.
local windows = {
    {DAY}, {2}, {}, {DAY, true}, {2, true}, {3}, {3, true}, {YEAR}, {YEAR, true}
}
local by_length = {1, 4, 2, 5, 6, 7, 8, 9, 3}

local function bounds(frame, window)
    local kind, previous = windows[window][1], windows[window][2]
    if not kind then
        return -math.huge, math.huge
    elseif previous then
        return frame.previous[kind], frame.start[kind]
    end
    return frame.start[kind], frame.finish[kind]
end

local function keys_of(frame, window)
    local kind, previous = windows[window][1], windows[window][2]
    if not kind then
        return base .. 'all', base .. 'visitors:all'
    end
    local name = previous and frame.before[kind] or frame.name[kind]
    return period_of(kind, name), sketch_of(kind, name)
end

-- Fields of a period. A damaged one shows nothing, and others are none the worse.
local function get(key, ...)
    local fields = redis.pcall('HMGET', key, ...)
    return fields.err and {false, false, false, '1', false, false} or fields
end

-- doubt: how many visitors may have been counted or not; -1: a sketch's error.
local function window_of(frame, window)
    local key, sketch = keys_of(frame, window)
    local fields = get(key, 'hits', 'visits', 'visitors', 'unsure', 'shown', 'estimate')
    local out = {hits = fields[1] or '0', visits = fields[2] or '0', visitors = tonumber(fields[3]) or 0,
        doubt = tonumber(fields[4]) or 0, shown = tonumber(fields[5]) or 0, key = key}
    -- A closed period that only hits from before its visitors were known belong to has no exact number to begin with.
    local unknown = windows[window][2] and out.visitors == 0 and out.doubt > 0 and site.forgotten >= bounds(frame, window)
    if fields[6] or unknown then
        local estimate = estimate_of(sketch) or 0
        out.visitors = out.visitors + math.max(0, estimate - (tonumber(fields[6]) or 0))
        out.doubt = out.visitors > 0 and -1 or 0
    end
    if out.doubt ~= 0 then
        out.visitors = math.max(out.visitors, out.shown)
    end
    return out
end

-- A longer window never shows less than one inside it, nor than it showed before.
local function lift(frame, shown, window)
    local longer, from, to = shown[window], bounds(frame, window)
    for i = 1, #windows do
        local start, finish = bounds(frame, i)
        if i ~= window and start >= from and finish <= to then
            local least = shown[i] and shown[i].visitors
            if not least then
                local fields = get((keys_of(frame, i)), 'visitors', 'shown')
                least = math.max(tonumber(fields[1]) or 0, tonumber(fields[2]) or 0)
            end
            longer.visitors = math.max(longer.visitors, least)
        end
    end
    if longer.visitors > longer.shown then
        redis.pcall('HSET', longer.key, 'shown', longer.visitors) -- not where the server takes no writes
    end
end

local function answer(done, refused, want, at)
    local out = {'ok', done, refused, site.clock}
    if want == 0 then
        return out
    end
    local frame, shown = frame_of(at), {}
    for window = 1, #windows do
        if has(want, 2 ^ (window - 1)) then
            shown[window] = window_of(frame, window)
        end
    end
    for _, window in ipairs(by_length) do
        if shown[window] and shown[window].doubt ~= 0 then
            lift(frame, shown, window)
        end
    end
    local online = redis.call('ZCOUNT', recent, (at - ONLINE + 1) * 10, (at + FUTURE) * 10 + 9)
    for _, value in ipairs({at, online, site.forgotten, site.late, site.baseline[1], site.baseline[2],
            site.baseline[3]}) do
        out[#out + 1] = value
    end
    for window = 1, #windows do
        if shown[window] then
            local one = shown[window]
            for _, value in ipairs({one.visitors, one.visits, one.hits, one.doubt}) do
                out[#out + 1] = value
            end
        end
    end
    return out
end

---- The call ----------------------------------------------------------------------------------------------------------

-- Of a frame, with those that a new day or a full set asks for.
local function keys_around(frame)
    local keys = {meta, recent, nameless, base .. 'all', base .. 'visitors:all'}
    for kind = DAY, YEAR do
        for _, name in ipairs({frame.name[kind], frame.before[kind]}) do
            keys[#keys + 1] = period_of(kind, name)
            keys[#keys + 1] = sketch_of(kind, name)
        end
    end
    return keys
end

-- id slots want at n | hits | frames, the hits' own first. at counts where there are no hits. slots is 1 in a cluster.
local function call()
    local id, slots, want, at, n = word(), number(), number(), number(), number()
    local refusal = load_site(id)
    if refusal then
        return refusal
    end
    read_hits(n)
    read_frames()
    if slots > 0 and is_moving(keys_around(frames[1])) then
        return {'moving'}
    end
    local clock, counts = admit()
    want = batch.refused == '' and want or 0
    read_scores()
    if batch.n > 0 then
        at = math.max(clock, batch.t[batch.n])
    end
    local missing = missing_frames(n > 0 and clock or 0, want > 0 and at or 0)
    if missing then
        return {'frames', unpack(missing)}
    end
    if slots > 0 and want > 0 and frame_of(at) ~= frames[1] and is_moving(keys_around(frame_of(at))) then
        return {'moving'}
    end
    if batch.n > 0 then
        local done, failure = pcall(count, counts)
        if not done then
            return type(failure) == 'table' and failure or {err = failure}
        end
    end
    return answer(batch.n, batch.refused, want, at)
end

return call()
