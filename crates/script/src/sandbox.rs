//! The globals of a script, which it can't change. Lua 5.1 knows no read-only tables: what scripts see of the libraries are empty tables in
//! front of the real ones, and a run's globals are an empty table in front of its `KEYS` and `ARGV`, in front of the libraries. After each
//! run somebody looks whether they are still empty ([`Sandbox::is_intact`]); a state that isn't intact is thrown away.

use crate::arguments::{Arguments, type_name};
use crate::fault::{Fault, OUT_OF_MEMORY, raise, reveal, stop};
use crate::host::Host;
use crate::libraries;
use crate::limits::{ERROR_COSTS, LOOK_EVERY, Meter};
use crate::numbers;
use crate::redis::{self, Seat};
use mlua::{Error, Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What instructions per second `os.clock` assumes: a clock that is the same in every run.
const CLOCK_INSTRUCTIONS_PER_SECOND: f64 = 1e8;

/// Functions of Lua that scripts get as they are. They don't get `getfenv` and `setfenv`, by which a function would keep what a run leaves
/// in it, nor `newproxy`, whose values run code when they are collected, where no limit holds.
const KEPT: &[&str] = &[
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "rawequal",
    "select",
    "tonumber",
    "type",
    "unpack",
];

/// A state of Lua with everything that scripts may use, ready for any number of runs.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The state.
    pub lua: Lua,
    /// Runs a function and catches its errors.
    pub invoke: Function,
    /// Begins the metatable between a run's own globals and the libraries.
    behind: Table,
    /// The one of globals while a library is loaded.
    loading: Table,
    sealed: Rc<Sealed>,
    read_only: Function,
    hidden: Table,
    /// What stands for addresses.
    names: Table,
    /// Functions written in Lua, and the environment that they must still have.
    glue: Vec<Function>,
    glue_environment: Table,
}

/// Tables in front of others.
#[derive(Debug, Default)]
struct Sealed {
    /// The empty ones, each with what is behind it.
    tables: RefCell<Vec<(Table, Table)>>,
    /// The globals of the run, with its own variables.
    globals: RefCell<Option<(Table, Table)>>,
    /// How many values have got a name for want of an address.
    names: Cell<u32>,
}

impl Sealed {
    fn behind(&self, front: &Table) -> Option<Table> {
        let tables = self.tables.borrow();
        tables.iter().find(|(sealed, _)| sealed == front).map(|(_, behind)| behind.clone())
    }

    fn is_globals(&self, table: &Table) -> bool {
        self.globals.borrow().as_ref().is_some_and(|(globals, _)| globals == table)
    }

    fn is_sealed(&self, table: &Table) -> bool {
        self.is_globals(table) || self.behind(table).is_some()
    }
}

/// The globals of one run.
#[derive(Debug)]
pub(crate) struct Globals {
    /// What the run sees.
    pub seen: Table,
    own: Table,
    meta: Table,
}

impl Sandbox {
    /// Builds a state.
    pub fn new<H: Host + 'static>(meter: &Rc<Meter>, seat: &Rc<Seat<H>>) -> mlua::Result<Self> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let sealed = Rc::new(Sealed::default());
        let read_only =
            lua.create_function(|lua, _: MultiValue| -> mlua::Result<()> { Err(raise(lua, READ_ONLY)) })?;
        let absent = lua.create_function(absent_global)?;
        let hidden = lua.create_table()?;
        let names = lua.create_table()?;
        let weak = lua.create_table()?;
        weak.raw_set("__mode", "k")?;
        names.set_metatable(Some(weak))?;
        let mut sandbox = Self {
            invoke: absent.clone(),
            behind: lua.create_table()?,
            loading: lua.create_table()?,
            sealed,
            read_only,
            hidden,
            names,
            glue: Vec::new(),
            glue_environment: lua.create_table()?,
            lua,
        };
        sandbox.hidden = sandbox.seal(&sandbox.hidden.clone())?;
        let api = sandbox.lua.create_table()?;
        sandbox.add_language(&api, meter, seat)?;
        sandbox.add_libraries(&api, meter, seat)?;
        let missing = sandbox.lua.create_table()?;
        missing.raw_set("__index", absent)?;
        api.set_metatable(Some(missing.clone()))?;
        sandbox.behind.raw_set("__index", api)?;

        let redis = redis::table_for_loading(&sandbox.lua, seat)?;
        redis.set_metatable(Some(missing.clone()))?;
        let redis = sandbox.seal(&redis)?;
        sandbox.loading.raw_set("redis", redis)?;
        sandbox.loading.set_metatable(Some(missing))?;
        Ok(sandbox)
    }

    /// An empty table in front of `behind`, which can't be changed through it.
    fn seal(&self, behind: &Table) -> mlua::Result<Table> {
        let (front, meta) = (self.lua.create_table()?, self.lua.create_table()?);
        meta.raw_set("__index", behind)?;
        meta.raw_set("__newindex", &self.read_only)?;
        meta.raw_set("__metatable", &self.hidden)?;
        front.set_metatable(Some(meta))?;
        self.sealed.tables.borrow_mut().push((front.clone(), behind.clone()));
        Ok(front)
    }

    /// The functions that belong to the language.
    fn add_language<H: Host + 'static>(
        &mut self,
        api: &Table,
        meter: &Rc<Meter>,
        seat: &Rc<Seat<H>>,
    ) -> mlua::Result<()> {
        let lua = self.lua.clone();
        let globals = lua.globals();
        for name in KEPT {
            api.raw_set(*name, globals.raw_get::<Value>(*name)?)?;
        }
        api.raw_set("_VERSION", globals.raw_get::<Value>("_VERSION")?)?;
        self.add_tables_functions(api)?;

        let coroutine: Table = globals.raw_get("coroutine")?;
        let (safe, invoke, protected) = self.prelude(&coroutine, meter, seat)?;
        for name in ["resume", "create", "wrap"] {
            coroutine.raw_set(name, safe.raw_get::<Value>(name)?)?;
        }
        api.raw_set("coroutine", self.seal(&coroutine)?)?;
        for name in ["pcall", "xpcall", "load", "loadstring"] {
            api.raw_set(name, safe.raw_get::<Value>(name)?)?;
        }
        for pair in safe.pairs::<Value, Function>() {
            self.glue.push(pair?.1);
        }
        self.invoke = invoke;
        api.raw_set("tostring", self.tostring(seat, &protected)?)?;
        libraries::patterns::add(&lua, &globals.raw_get("string")?, meter, seat, &protected)?;

        // Garbage is collected without a script's doing, and how much there is differs from run to run.
        let nothing = lua.create_function(|_, _: MultiValue| Ok(0))?;
        api.raw_set("collectgarbage", &nothing)?;
        api.raw_set("gcinfo", nothing)
    }

    /// `tostring`, without addresses of memory, so that a run says the same wherever it runs.
    fn tostring<H: 'static>(&self, seat: &Rc<Seat<H>>, protected: &Function) -> mlua::Result<Function> {
        let native: Function = self.lua.globals().raw_get("tostring")?;
        let (names, sealed) = (self.names.clone(), Rc::clone(&self.sealed));
        let (seat, protected) = (Rc::clone(seat), protected.clone());
        self.lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, "tostring", given);
            given.check(given.len() > 0, 1, "value expected")?;
            let said = match given.value(1) {
                text @ Value::String(_) => return Ok(text.clone()),
                Value::Integer(number) => numbers::general(*number as f64, 14),
                Value::Number(number) => numbers::general(*number, 14),
                value => match name_of(&names, &sealed, value)? {
                    Some(name) => name,
                    None => {
                        let called = protected.call((&native, value.clone()))?;
                        return returned(&seat, called);
                    }
                },
            };
            lua.create_string(said).map(Value::String)
        })
    }

    /// Loads what is written in Lua.
    fn prelude<H: Host + 'static>(
        &mut self,
        coroutine: &Table,
        meter: &Rc<Meter>,
        seat: &Rc<Seat<H>>,
    ) -> mlua::Result<(Table, Function, Function)> {
        let lua = &self.lua;
        let globals = lua.globals();
        let (its, its_seat) = (Rc::clone(meter), Rc::clone(seat));
        let reveal = lua.create_function(move |lua, value: Value| {
            if its.look(ERROR_COSTS).is_err() {
                return Ok((true, value));
            }
            match reveal(lua, &mut its_seat.kept.borrow_mut(), value.clone()) {
                Ok(seen) => Ok((false, seen?)),
                Err(why) => {
                    its.stop(why);
                    Ok((true, value))
                }
            }
        })?;
        let its = Rc::clone(meter);
        // Lua counts the instructions of each coroutine anew.
        let began = lua.create_function(move |_, ()| its.look(u64::from(LOOK_EVERY)).map_err(stop))?;
        let of = |table: &str, name: &str| -> mlua::Result<Value> {
            globals.raw_get::<Table>(table)?.raw_get::<Value>(name)
        };
        let given = [
            Value::Function(reveal),
            globals.raw_get("pcall")?,
            globals.raw_get("xpcall")?,
            coroutine.raw_get("resume")?,
            globals.raw_get("loadstring")?,
            globals.raw_get("error")?,
            globals.raw_get("type")?,
            globals.raw_get("select")?,
            of("table", "concat")?,
            of("string", "byte")?,
            Value::Function(began),
            coroutine.raw_get("create")?,
            coroutine.raw_get("wrap")?,
        ];
        self.glue_environment = self.seal(&lua.create_table()?)?;
        let chunk = lua.load(include_str!("prelude.lua")).set_name("=prelude");
        let chunk = chunk.set_environment(self.glue_environment.clone());
        chunk.call(MultiValue::from_iter(given))
    }

    /// The functions about tables that know of sealed ones.
    fn add_tables_functions(&self, api: &Table) -> mlua::Result<()> {
        let lua = &self.lua;
        let next: Function = lua.globals().raw_get("next")?;
        let sealed = Rc::clone(&self.sealed);
        let pairs = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, "pairs", given);
            let Value::Table(table) = given.value(1) else { return Err(given.wrong_type(1, "table")) };
            let seen =
                if sealed.is_globals(table) { all_globals(lua, &sealed)? } else { sealed.behind(table) };
            Ok((next.clone(), seen.unwrap_or_else(|| table.clone()), Value::Nil))
        })?;
        api.raw_set("pairs", pairs)?;
        let sealed = Rc::clone(&self.sealed);
        let rawget = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, "rawget", given);
            let Value::Table(table) = given.value(1) else { return Err(given.wrong_type(1, "table")) };
            let seen =
                if sealed.is_globals(table) { all_globals(lua, &sealed)? } else { sealed.behind(table) };
            seen.unwrap_or_else(|| table.clone()).raw_get::<Value>(given.value(2))
        })?;
        api.raw_set("rawget", rawget)?;
        let sealed = Rc::clone(&self.sealed);
        let rawset = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, "rawset", given);
            let Value::Table(table) = given.value(1) else { return Err(given.wrong_type(1, "table")) };
            if sealed.is_sealed(table) {
                return Err(plain(READ_ONLY));
            }
            match given.value(2) {
                Value::Nil => return Err(plain("table index is nil")),
                Value::Number(number) if number.is_nan() => return Err(plain("table index is NaN")),
                key => table.raw_set(key, given.value(3))?,
            }
            Ok(table.clone())
        })?;
        api.raw_set("rawset", rawset)?;
        let sealed = Rc::clone(&self.sealed);
        let setmetatable = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, "setmetatable", given);
            let Value::Table(table) = given.value(1) else { return Err(given.wrong_type(1, "table")) };
            let meta = match given.value(2) {
                Value::Nil if given.len() >= 2 => None,
                Value::Table(meta) => Some(meta.clone()),
                _ => return Err(given.wrong(2, "nil or table expected")),
            };
            if sealed.is_sealed(table) {
                return Err(plain(READ_ONLY));
            }
            if let Some(old) = table.metatable()
                && !old.raw_get::<Value>("__metatable")?.is_nil()
            {
                return Err(raise(lua, "cannot change a protected metatable"));
            }
            table.set_metatable(meta)?;
            Ok(table.clone())
        })?;
        api.raw_set("setmetatable", setmetatable)
    }

    /// The tables of functions.
    fn add_libraries<H: Host + 'static>(
        &self,
        api: &Table,
        meter: &Rc<Meter>,
        seat: &Rc<Seat<H>>,
    ) -> mlua::Result<()> {
        let lua = &self.lua;
        let globals = lua.globals();
        let math: Table = globals.raw_get("math")?;
        redis::add_random(lua, &math, meter, seat)?;
        let table: Table = globals.raw_get("table")?;
        let string: Table = globals.raw_get("string")?;
        let os = lua.create_table()?;
        let its = Rc::clone(meter);
        let clock = move |_: &Lua, _: MultiValue| {
            // Each question takes a moment, so that who waits for the clock isn't kept for ever.
            its.look(1000).map_err(stop)?;
            Ok(its.spent() as f64 / CLOCK_INSTRUCTIONS_PER_SECOND)
        };
        os.raw_set("clock", lua.create_function(clock)?)?;
        let all = [
            ("math", math),
            ("table", table),
            ("string", string.clone()),
            ("os", os),
            ("cjson", libraries::json::table(lua, meter)?),
            ("cmsgpack", libraries::msgpack::table(lua, meter)?),
            ("struct", libraries::structs::table(lua, meter)?),
            ("bit", libraries::bits::table(lua)?),
            ("redis", redis::table(lua, meter, seat)?),
        ];
        for (name, table) in all {
            api.raw_set(name, self.seal(&table)?)?;
        }
        // Texts have methods: their metatable is everybody's.
        let meta: Option<Table> = lua.type_metatable::<mlua::LuaString>();
        let meta = meta.map_or_else(|| lua.create_table(), Ok)?;
        meta.raw_set("__index", string)?;
        let shown = lua.create_table()?;
        shown.raw_set("__index", api.raw_get::<Value>("string")?)?;
        meta.raw_set("__metatable", self.seal(&shown)?)?;
        lua.set_type_metatable::<mlua::LuaString>(Some(meta));
        Ok(())
    }

    /// Globals for a run, with variables of its own (`KEYS`, `ARGV`).
    pub fn globals(&self, variables: &[(&str, &Table)]) -> mlua::Result<Globals> {
        let lua = &self.lua;
        let (seen, own, meta) = (lua.create_table()?, lua.create_table()?, lua.create_table()?);
        for (name, value) in variables {
            own.raw_set(*name, *value)?;
        }
        own.raw_set("_G", &seen)?;
        own.set_metatable(Some(self.behind.clone()))?;
        meta.raw_set("__index", &own)?;
        meta.raw_set("__newindex", &self.read_only)?;
        meta.raw_set("__metatable", &self.hidden)?;
        seen.set_metatable(Some(meta.clone()))?;
        // Pieces of code that are loaded in the run get these.
        lua.set_globals(seen.clone())?;
        self.sealed.names.set(0);
        self.names.clear()?;
        *self.sealed.globals.borrow_mut() = Some((seen.clone(), own.clone()));
        Ok(Globals { seen, own, meta })
    }

    /// While a library is loaded it sees nothing but what it needs to register its functions.
    pub fn restrict(&self, globals: &Globals, while_loading: bool) -> mlua::Result<()> {
        globals.meta.raw_set("__index", if while_loading { &self.loading } else { &globals.own })
    }

    /// Whether the last run has left nothing behind.
    pub fn is_intact(&self) -> bool {
        let is_empty = |table: &Table| table.raw_len() == 0 && table.pairs::<Value, Value>().next().is_none();
        self.sealed.tables.borrow().iter().all(|(front, _)| is_empty(front))
            && self.glue.iter().all(|glue| glue.environment().as_ref() == Some(&self.glue_environment))
    }
}

/// An error without a place, as Lua itself raises it in a function of C's.
fn plain(said: &str) -> Error {
    Fault::Text(said.into()).into()
}

const READ_ONLY: &str = "Attempt to modify a readonly table";

fn absent_global(lua: &Lua, (_, name): (Value, Value)) -> Result<Value, Error> {
    let name = match &name {
        Value::String(name) => name.to_string_lossy(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => numbers::general(*number, 14),
        _ => {
            return Err(raise(lua, "Second argument to luaProtectedTableError must be a string or number"));
        }
    };
    Err(raise(lua, format!("Script attempted to access nonexistent global variable '{name}'")))
}

/// The globals of the run and all behind them, as one table to walk over.
fn all_globals(lua: &Lua, sealed: &Sealed) -> mlua::Result<Option<Table>> {
    let globals = sealed.globals.borrow();
    let Some((_, own)) = &*globals else { return Ok(None) };
    let all = lua.create_table()?;
    let behind = own.metatable().map(|meta| meta.raw_get::<Table>("__index")).transpose()?;
    for table in behind.iter().chain([own]) {
        for pair in table.pairs::<Value, Value>() {
            let (name, value) = pair?;
            all.raw_set(name, value)?;
        }
    }
    Ok(Some(all))
}

/// The first value of a function that `pcall` has called, or the error that it raised.
pub(crate) fn returned<H>(seat: &Seat<H>, (fine, value): (bool, Value)) -> mlua::Result<Value> {
    match (fine, value) {
        (true, value) => Ok(value),
        (false, Value::Error(error)) => Err(*error),
        (false, Value::String(text)) if text.as_bytes().ends_with(OUT_OF_MEMORY) => {
            Err(Error::MemoryError(String::from_utf8_lossy(OUT_OF_MEMORY).into()))
        }
        (false, value) => {
            *seat.kept.borrow_mut() = Some(value);
            Err(Fault::Kept.into())
        }
    }
}

/// What stands for the address of a value; nothing if `tostring` needs none.
fn name_of(names: &Table, sealed: &Sealed, value: &Value) -> mlua::Result<Option<String>> {
    match value {
        Value::Table(table) => {
            if let Some(meta) = table.metatable()
                && !meta.raw_get::<Value>("__tostring")?.is_nil()
            {
                return Ok(None);
            }
        }
        Value::Function(_) | Value::Thread(_) => {}
        _ => return Ok(None),
    }
    let number = match names.raw_get::<Option<u32>>(value)? {
        Some(number) => number,
        None => {
            let number = sealed.names.get() + 1;
            sealed.names.set(number);
            names.raw_set(value, number)?;
            number
        }
    };
    Ok(Some(format!("{}: 0x{number:08x}", type_name(value))))
}
