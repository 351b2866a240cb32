"""Everything that is written, as scripts: each is atomic, and doing it twice is doing it once.

A script compares before it writes, so that a command whose reply was lost can be sent again
blindly. Positions are given here, in the one place where all replicas meet. Scripts use
nothing but ``redis.call``, and touch only keys of one router, which share a Cluster slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1


@dataclass(frozen=True)
class Script:
    """A Lua script. ``sha`` is what servers call it."""

    text: str

    @cached_property
    def sha(self) -> str:
        """The digest by which EVALSHA names it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


READ = Script("""
-- KEYS meta, decision…  →  head, nonce, {body, outcome, marks}…
local meta = redis.call('HMGET', KEYS[1], 'head', 'nonce')
local found = {}
for i = 2, #KEYS do
  found[i - 1] = redis.call('HMGET', KEYS[i], 'body', 'outcome', 'marks')
end
return {meta[1], meta[2], found}
""")

COMMIT = Script("""
-- KEYS meta, log, decision…
-- ARGV nonce, (old outcome, old marks, new outcome, new marks) per decision, entry…
-- →  what happened, head, nonce.  Absent values are ''.
local decisions = #KEYS - 2
local asked, done = true, true
for i = 1, decisions do
  local key, at = KEYS[i + 2], 4 * i - 3
  if redis.call('HEXISTS', key, 'body') == 0 then return {'gone'} end
  local now = redis.call('HMGET', key, 'outcome', 'marks')
  local outcome, marks = now[1] or '', now[2] or ''
  if outcome ~= ARGV[at + 1] or marks ~= ARGV[at + 2] then asked = false end
  if outcome ~= ARGV[at + 3] or marks ~= ARGV[at + 4] then done = false end
end
local meta = redis.call('HMGET', KEYS[1], 'head', 'nonce')
if done then return {'done', meta[1], meta[2]} end
if not asked then return {'changed'} end
local head = tonumber(meta[1] or '0')
for i = 4 * decisions + 2, #ARGV do
  head = head + 1
  redis.call('XADD', KEYS[2], string.format('%.0f-0', head), 'e', ARGV[i], 'n', ARGV[1])
end
if #ARGV > 4 * decisions + 1 then
  redis.call('HSET', KEYS[1], 'head', string.format('%.0f', head), 'nonce', ARGV[1])
  meta = redis.call('HMGET', KEYS[1], 'head', 'nonce')
end
for i = 1, decisions do
  local key, at = KEYS[i + 2], 4 * i - 3
  if ARGV[at + 3] ~= '' then redis.call('HSET', key, 'outcome', ARGV[at + 3]) end
  if ARGV[at + 4] ~= '' then redis.call('HSET', key, 'marks', ARGV[at + 4]) end
end
return {'written', meta[1], meta[2]}
""")

ANNOUNCE = Script("""
-- KEYS meta, log, news  ARGV nonce, id, entry  →  what happened
local meta = redis.call('HMGET', KEYS[1], 'head', 'arriving')
if meta[2] then return 'arriving' end
redis.call('XLEN', KEYS[2])  -- what is not of our making fails before anything is written
if redis.call('SADD', KEYS[3], ARGV[2]) == 0 then return 'known' end
local head = string.format('%.0f', tonumber(meta[1] or '0') + 1)
redis.call('XADD', KEYS[2], head .. '-0', 'e', ARGV[3], 'n', ARGV[1])
redis.call('HSET', KEYS[1], 'head', head, 'nonce', ARGV[1])
return 'written'
""")

PROVE = Script("""
-- KEYS meta, log  ARGV (position, nonce)…  →  1 if the log has all those appends, head, nonce
local meta = redis.call('HMGET', KEYS[1], 'head', 'nonce')
local head = tonumber(meta[1] or '0')
local not_there = {0, meta[1], meta[2]}
for i = 1, #ARGV, 2 do
  local position, nonce = tonumber(ARGV[i]), nil
  if position > head then return not_there end
  local id = ARGV[i] .. '-0'
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  if entry then
    for f = 1, #entry[2], 2 do if entry[2][f] == 'n' then nonce = entry[2][f + 1] end end
  elseif position == head then
    nonce = meta[2]
  else
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if first and tonumber(string.match(first[1], '%d+')) < position then return not_there end
    nonce = ARGV[i + 1]  -- trimmed away since
  end
  if nonce ~= ARGV[i + 1] then return not_there end
end
return {1, meta[1], meta[2]}
""")

REMEMBER = Script("""
-- KEYS meta, ids, decision…  ARGV fingerprint, (id, body, milliseconds to live) per decision
local meta = redis.call('HMGET', KEYS[1], 'fingerprint', 'arriving')
if meta[2] then return {'arriving'} end
if meta[1] and meta[1] ~= ARGV[1] then return {'claimed', meta[1]} end
redis.call('ZCARD', KEYS[2])  -- what is not of our making fails before anything is written
for i = 3, #KEYS do redis.call('HEXISTS', KEYS[i], 'body') end
for i = 3, #KEYS do
  local at = 3 * i - 7
  if redis.call('HSETNX', KEYS[i], 'body', ARGV[at + 1]) == 1 then
    redis.call('ZADD', KEYS[2], 0, ARGV[at])
    redis.call('PEXPIRE', KEYS[i], ARGV[at + 2])
  end
end
return {'kept'}
""")

BORN = Script("""
-- KEYS meta  ARGV nonce  →  the nonce of whoever asked first since there is a router here
redis.call('HSETNX', KEYS[1], 'born', ARGV[1])
return redis.call('HGET', KEYS[1], 'born')
""")

CLAIM = Script("""
-- KEYS meta  ARGV fingerprint, the one that may be replaced or ''  →  what happened, claimed
local meta = redis.call('HMGET', KEYS[1], 'fingerprint', 'head', 'arriving')
local claimed, head = meta[1], tonumber(meta[2] or '0')
if meta[3] then return {'arriving'} end
if claimed == ARGV[1] then return {'claimed'} end
if claimed and head > 0 then return {'mismatch', claimed} end
if claimed and claimed ~= ARGV[2] then return {'empty', claimed} end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1])
return {'claimed'}
""")

DROP = Script("""
-- KEYS ids, decision…  ARGV id…  →  how many were still listed
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
local dropped = 0
for i = 1, #ARGV do dropped = dropped + redis.call('ZREM', KEYS[1], ARGV[i]) end
return dropped
""")

SAVE = Script("""
-- KEYS meta, log, saved, checkpoint  ARGV position, nonce or '', when, fingerprint, payload
local head = tonumber(redis.call('HGET', KEYS[1], 'head') or '0')
local position = tonumber(ARGV[1])
if position > head then return {'ahead', string.format('%.0f', head)} end
for _, other in ipairs(redis.call('HKEYS', KEYS[3])) do
  if position <= tonumber(other) then return {'older'} end
end
if ARGV[2] ~= '' then
  local nonce
  local entry = redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', ARGV[1] .. '-0')[1]
  if entry then
    for i = 1, #entry[2], 2 do if entry[2][i] == 'n' then nonce = entry[2][i + 1] end end
  elseif position == head then
    nonce = redis.call('HGET', KEYS[1], 'nonce')
  end
  if nonce and nonce ~= ARGV[2] then return {'other'} end
end
redis.call('HSET', KEYS[4], 'fingerprint', ARGV[4], 'payload', ARGV[5], 'nonce', ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return {'saved'}
""")

THIN = Script("""
-- KEYS saved, checkpoint…  ARGV position…
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return #ARGV
""")

BEGIN_IMPORT = Script("""
-- KEYS meta, ids, saved  →  1 if the router is arriving from here on
local meta = redis.call('HMGET', KEYS[1], 'arriving', 'head')
if meta[1] then return 1 end
local occupied = tonumber(meta[2] or '0') > 0
  or redis.call('ZCARD', KEYS[2]) > 0 or redis.call('HLEN', KEYS[3]) > 0
if occupied then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'arriving', '1')
return 1
""")

PUT_RECORDS = Script("""
-- KEYS meta, ids, decision…  ARGV (id, body, outcome, marks, milliseconds to live) per decision
if redis.call('HEXISTS', KEYS[1], 'arriving') == 0 then return 0 end
for i = 3, #KEYS do
  local at = 5 * i - 14
  redis.call('DEL', KEYS[i])
  redis.call('HSET', KEYS[i], 'body', ARGV[at + 1])
  if ARGV[at + 2] ~= '' then redis.call('HSET', KEYS[i], 'outcome', ARGV[at + 2]) end
  if ARGV[at + 3] ~= '' then redis.call('HSET', KEYS[i], 'marks', ARGV[at + 3]) end
  redis.call('PEXPIRE', KEYS[i], ARGV[at + 4])
  redis.call('ZADD', KEYS[2], 0, ARGV[at])
end
return 1
""")

PUT_ENTRIES = Script("""
-- KEYS meta, log  ARGV nonce, (position, entry)…
if redis.call('HEXISTS', KEYS[1], 'arriving') == 0 then return 0 end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '%d+')) or 0
for i = 2, #ARGV, 2 do
  if tonumber(ARGV[i]) > last then
    redis.call('XADD', KEYS[2], ARGV[i] .. '-0', 'e', ARGV[i + 1], 'n', ARGV[1])
  end
end
return 1
""")

PUT_CHECKPOINT = Script("""
-- KEYS meta, saved, checkpoint  ARGV position, when, fingerprint, payload
if redis.call('HEXISTS', KEYS[1], 'arriving') == 0 then return 0 end
redis.call('HSET', KEYS[3], 'fingerprint', ARGV[3], 'payload', ARGV[4], 'nonce', '')
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
""")

PUT_NEWS = Script("""
-- KEYS meta, news  ARGV id…
if redis.call('HEXISTS', KEYS[1], 'arriving') == 0 then return 0 end
for i = 1, #ARGV do redis.call('SADD', KEYS[2], ARGV[i]) end
return 1
""")

FINISH_IMPORT = Script("""
-- KEYS meta  ARGV head, nonce, fingerprint or ''
if redis.call('HEXISTS', KEYS[1], 'arriving') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'head', ARGV[1], 'nonce', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'fingerprint', ARGV[3]) end
redis.call('HDEL', KEYS[1], 'arriving')
return 1
""")
