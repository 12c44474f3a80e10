-- What catches errors, written in Lua because only Lua keeps an error's value: whoever catches one asks `reveal` first what it is. The end
-- of a run is caught by nobody.

local reveal, pcall, xpcall, resume, loadstring, error, type, select, concat, byte, began, create, wrap = ...

local function settle(ok, ...)
  if ok then
    return true, ...
  end
  local ends, caught = reveal((...))
  if ends then
    error(caught, 0)
  end
  return false, caught
end

-- Redis 7 raises tables where it once raised texts, and hides that from `pcall`.
local function settle_text(ok, ...)
  if ok then
    return true, ...
  end
  local ends, caught = reveal((...))
  if ends then
    error(caught, 0)
  end
  if type(caught) == "table" then
    local said = caught.err
    if type(said) == "string" or type(said) == "number" then
      return false, said
    end
  end
  return false, caught
end

-- `reveal` was asked by the handler, and what that returned is no error.
local function settle_handled(ok, ...)
  if ok then
    return true, ...
  end
  local ends = reveal((...))
  if ends then
    error((...), 0)
  end
  return false, ...
end

local safe = {}

function safe.pcall(...)
  return settle_text(pcall(...))
end

function safe.xpcall(f, handler)
  return settle_handled(xpcall(f, function(raised)
    local ends, caught = reveal(raised)
    if ends then
      return raised
    end
    return handler(caught)
  end))
end

function safe.resume(...)
  return settle(resume(...))
end

function safe.create(f)
  began()
  return create(f)
end

function safe.wrap(f)
  began()
  return wrap(f)
end

-- Compiled code isn't checked by Lua before it runs, and may break out of everything.
function safe.loadstring(text, name)
  if type(text) == "string" and byte(text, 1) == 27 then
    return nil, "compiled code is not loaded: give the text"
  end
  return loadstring(text, name or text)
end

function safe.load(reader, name)
  if type(reader) ~= "function" then
    error("bad argument #1 to 'load' (function expected, got " .. type(reader) .. ")", 2)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
  return safe.loadstring(concat(pieces), name or "=(load)")
end

-- Runs a script or function, and gives what it returns or what `handler` makes of its error.
local function invoke(run, handler, keys, arguments)
  return xpcall(function()
    return run(keys, arguments)
  end, handler)
end

return safe, invoke, pcall
