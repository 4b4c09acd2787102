//! The space of requests: its axes, what each can hold, and the tests that rules make on them.

mod field;
mod memo;
mod product;
mod target;
mod words;

pub use product::{Literal, Point, Product, Values};

use crate::language::{Answer, Automata, Form, Limits, PathForm, Test};
use crate::{Condition, Field, PathTest, Predicate, ValueTest};
use hashbrown::HashMap;
use memo::{Memo, Weight};
use smol_str::SmolStr;
use std::sync::Arc;

/// A dimension of the space of requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// The path without its query, normalised.
    Path,
    /// Another field of the request.
    Field(Field),
    /// Where the request comes in: a gateway or the mesh, and a port.
    Listener,
    /// The namespace of the client's workload.
    SourceNamespace,
    /// A label of the client's workload.
    SourceLabel(SmolStr),
    /// The server name of a TLS hello: the pattern by which it is taken, as written.
    ServerName,
    /// The address that the connection is for: the range by which it is taken, as written.
    Destination,
}

/// How many values an axis has in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Always one.
    One,
    /// One or none.
    Optional,
    /// Any number: the lines of a header.
    Many,
    /// None, ever.
    Never,
}

/// What requests there are, as far as the algebra cannot know it by itself.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// How paths are normalised.
    pub path: PathForm,
    /// Methods that have a path, plainest first.
    pub methods: Vec<SmolStr>,
    /// Headers that are seen as one line, however many were sent.
    pub joined_headers: &'static [&'static str],
    /// Headers that are never seen.
    pub hidden_headers: Vec<SmolStr>,
    /// Headers that are always seen, since the proxy itself writes them.
    pub written_headers: Vec<WrittenHeader>,
    /// Headers that always say what another field says, as `x-forwarded-proto` the scheme behind a gateway.
    pub echoes: Vec<(SmolStr, Field)>,
    /// Requests as clients of good manners send them: each header on one line at most, which is UTF-8.
    pub plain_headers: bool,
}

/// A header that the proxy writes.
#[derive(Clone, Debug)]
pub struct WrittenHeader {
    /// Its name, in lower case.
    pub name: SmolStr,
    /// What it can be.
    pub value: Test,
    /// Whether the client can choose the value.
    pub is_free: bool,
}

/// What a search for a request found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search<T> {
    /// This.
    Found(T),
    /// There is none.
    Empty,
    /// Finding out takes more than the limits allow.
    Unknown,
}

impl Weight for Search<Values> {
    fn weight(&self) -> usize {
        match self {
            Search::Found(values) => values.iter().map(|value| 8 + value.len() / 4).sum(),
            Search::Empty | Search::Unknown => 0,
        }
    }
}

impl Weight for Answer {
    fn weight(&self) -> usize {
        match self {
            Answer::Text(text) => 8 + text.len() / 4,
            Answer::Empty | Answer::Unknown => 0,
        }
    }
}

struct AxisInfo {
    axis: Axis,
    count: Count,
    form: Form,
    /// What is true of it in every request.
    assumed: Vec<Literal>,
    /// Its value in a request that nobody asks anything of.
    plainest: Option<Values>,
}

/// The space of requests that some rules look at.
///
/// It numbers axes and tests, so that products are small, and remembers what it has found out about them.
pub struct Space {
    world: Arc<World>,
    listeners: Vec<SmolStr>,
    axes: Vec<AxisInfo>,
    axis_numbers: HashMap<Axis, u32>,
    tests: Vec<Test>,
    test_numbers: HashMap<Test, u32>,
    /// What every line of a header is, if anything is known of it.
    every_line: Option<Test>,
    limits: Limits,
    automata: Automata,
    known: Memo<Search<Values>>,
    /// Of single lines, where it takes several of them.
    known_lines: Memo<Answer>,
    /// What searches may still cost, all together, in steps of an automaton or the like.
    left: u64,
}

impl Space {
    /// The space of a world, with nothing asked yet. `listeners` are the ways in, the values of [`Axis::Listener`].
    pub fn new(world: Arc<World>, listeners: Vec<SmolStr>, limits: Limits) -> Space {
        Space {
            every_line: world.plain_headers.then(Test::utf8),
            world,
            listeners,
            axes: Vec::new(),
            axis_numbers: HashMap::default(),
            tests: Vec::new(),
            test_numbers: HashMap::default(),
            limits,
            automata: Automata::default(),
            known: Memo::default(),
            known_lines: Memo::default(),
            left: limits.work,
        }
    }

    /// Takes what something costs from what is left; says whether that was enough.
    pub(crate) fn spend(&mut self, cost: usize) -> bool {
        let is_enough = self.left > 0;
        self.left = self.left.saturating_sub(cost as u64);
        is_enough
    }

    /// Whether all that questions may cost is spent: the answer to each is that it is unknown.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// What requests there are.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The condition that some value of the axis passes the test, or (`holds` is false) that none does.
    pub fn literal(&mut self, axis: &Axis, test: Test, holds: bool) -> Literal {
        Literal { axis: self.axis(axis), test: self.test(test), holds }
    }

    /// Whether an axis has no value in requests that do not name it.
    pub(crate) fn is_absent_unless_named(&self, axis: u32) -> bool {
        let info = &self.axes[axis as usize];
        info.count != Count::One && info.assumed.is_empty()
    }

    /// Demands something of every request from now on. What lists ask is indexed by what is known then: demand it before
    /// they are made.
    pub fn assume(&mut self, literal: Literal) {
        self.axes[literal.axis as usize].assumed.push(literal);
        self.axes[literal.axis as usize].plainest = None;
        self.known.clear();
    }

    /// The product that a predicate denotes. Its static conditions are the caller's to say, since their names are.
    pub fn product(&mut self, predicate: &Predicate) -> Product {
        let mut product = Product::all();
        if predicate.path != PathTest::Any {
            product.insert(self.literal(&Axis::Path, Test::from(&predicate.path), true));
        }
        for condition in &predicate.conditions {
            self.condition(condition, &mut product);
        }
        product
    }

    fn condition(&mut self, condition: &Condition, product: &mut Product) {
        let echoed = self.world.echoes.iter().find(|(name, _)| condition.field == Field::Header(name.clone()));
        let axis = Axis::Field(echoed.map_or(&condition.field, |(_, field)| field).clone());
        product.insert(self.literal(&axis, Test::from(&condition.test), !condition.negated));
        // An absent field counts as empty for what must not be: so where the empty text must not be, it must be there.
        if condition.negated && condition.test != ValueTest::Present && condition.test.matches(b"") {
            product.insert(self.literal(&axis, Test::Any, true));
        }
    }

    /// What a literal is about.
    pub fn axis_of(&self, literal: Literal) -> &Axis {
        &self.axes[literal.axis as usize].axis
    }

    /// What a literal demands, or forbids.
    pub fn test_of(&self, literal: Literal) -> (&Test, bool) {
        (&self.tests[literal.test as usize], literal.holds)
    }

    /// The request that has these values.
    pub fn request(&mut self, values: impl IntoIterator<Item = (Axis, Values)>) -> Point {
        let mut point = Point::default();
        for (axis, values) in values {
            point.set(self.axis(&axis), values);
        }
        point
    }

    /// The values of an axis in a request.
    pub fn values(&mut self, point: &Point, axis: &Axis) -> Values {
        let number = self.axis(axis);
        self.values_of(point, number)
    }

    /// Whether some test was made on an axis.
    pub fn reads(&self, axis: &Axis) -> bool {
        self.axis_numbers.contains_key(axis)
    }

    /// The axes that a request says something of, with their values.
    pub fn named(&self, point: &Point) -> Vec<(Axis, Values)> {
        point.values.iter().map(|(axis, values)| (self.axes[*axis as usize].axis.clone(), values.clone())).collect()
    }

    /// Whether a literal holds for a request.
    pub fn holds(&mut self, literal: Literal, point: &Point) -> bool {
        if self.axes[literal.axis as usize].axis == Axis::Field(Field::PathWithQuery) {
            let target = self.target(point);
            return self.tests[literal.test as usize].matches(&target) == literal.holds;
        }
        if let Some(values) = point.get(literal.axis) {
            let test = &self.tests[literal.test as usize];
            return values.iter().any(|value| test.matches(value)) == literal.holds;
        }
        let values = self.plainest(literal.axis);
        let test = &self.tests[literal.test as usize];
        values.iter().any(|value| test.matches(value)) == literal.holds
    }

    /// Whether a product holds a request.
    pub fn contains(&mut self, product: &Product, point: &Point) -> bool {
        product.literals().iter().all(|&literal| self.holds(literal, point))
    }

    /// Whether two products exclude each other by one whole value that one of them asks for: the plain cases, told
    /// without a search.
    pub fn plainly_disjoint(&self, one: &Product, other: &Product) -> bool {
        one.literals().iter().filter(|literal| literal.holds).any(|literal| {
            let axis = &self.axes[literal.axis as usize];
            if axis.count == Count::Many || matches!(axis.axis, Axis::Field(Field::PathWithQuery)) {
                return false;
            }
            let mut demands = other.beside(*literal).iter().filter(|candidate| candidate.holds);
            demands.any(|demand| self.exclude(literal.test, demand.test))
        })
    }

    fn exclude(&self, one: u32, other: u32) -> bool {
        match (&self.tests[one as usize], &self.tests[other as usize]) {
            (Test::Exact { value, ignore_case: false }, test) | (test, Test::Exact { value, ignore_case: false }) => {
                !test.matches(value.as_bytes())
            }
            (Test::Prefix { value: a, ignore_case: false }, Test::Prefix { value: b, ignore_case: false }) => {
                !a.starts_with(b.as_str()) && !b.starts_with(a.as_str())
            }
            _ => false,
        }
    }

    pub(crate) fn values_of(&mut self, point: &Point, axis: u32) -> Values {
        point.get(axis).cloned().unwrap_or_else(|| self.plainest(axis))
    }

    fn plainest(&mut self, axis: u32) -> Values {
        if let Some(known) = &self.axes[axis as usize].plainest {
            return known.clone();
        }
        // An axis that can hold nothing is found out when a request is looked for.
        let values = match self.field(axis, &[]) {
            Search::Found(values) => values,
            Search::Empty | Search::Unknown => Values::new(),
        };
        self.axes[axis as usize].plainest = Some(values.clone());
        values
    }

    fn axis(&mut self, axis: &Axis) -> u32 {
        if let Some(&number) = self.axis_numbers.get(axis) {
            return number;
        }
        let number = self.axes.len() as u32;
        let (count, form) = shape(axis, &self.world, &self.listeners);
        self.axes.push(AxisInfo { axis: axis.clone(), count, form, assumed: Vec::new(), plainest: None });
        self.axis_numbers.insert(axis.clone(), number);
        if let Axis::Field(Field::Header(name)) = axis
            && let Some(written) = self.world.written_headers.iter().find(|header| header.name == *name)
        {
            let test = written.value.clone();
            let always = Literal { axis: number, test: self.test(test), holds: true };
            self.axes[number as usize].assumed.push(always);
        }
        number
    }

    fn test(&mut self, test: Test) -> u32 {
        if let Some(&number) = self.test_numbers.get(&test) {
            return number;
        }
        let number = self.tests.len() as u32;
        self.tests.push(test.clone());
        self.test_numbers.insert(test, number);
        number
    }
}

/// How many values an axis has, and of which form.
fn shape(axis: &Axis, world: &World, listeners: &[SmolStr]) -> (Count, Form) {
    let schemes = || ["http", "https"].map(SmolStr::new_static).to_vec();
    match axis {
        Axis::Path => (Count::One, Form::Path(world.path)),
        Axis::Listener => (Count::One, Form::Choice(listeners.to_vec())),
        Axis::SourceNamespace => (Count::One, Form::Name),
        Axis::SourceLabel(_) => (Count::Optional, Form::Name),
        Axis::ServerName | Axis::Destination => (Count::One, Form::HeaderLine),
        Axis::Field(Field::Method) => (Count::One, Form::Choice(world.methods.clone())),
        Axis::Field(Field::Scheme) => (Count::One, Form::Choice(schemes())),
        Axis::Field(Field::Authority) => (Count::One, Form::Authority),
        Axis::Field(Field::PathWithQuery) => (Count::One, Form::Target(world.path)),
        // Whether a token is asked for, and what it says, no rule of this space knows.
        Axis::Field(Field::Claim(_)) => (Count::Many, Form::HeaderLine),
        Axis::Field(Field::Query(name)) => {
            let can_be_named = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"&#=".contains(&byte));
            (if can_be_named { Count::Optional } else { Count::Never }, Form::QueryValue)
        }
        Axis::Field(Field::Header(name)) => (count_of_header(name, world), Form::HeaderLine),
    }
}

fn count_of_header(name: &SmolStr, world: &World) -> Count {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if world.hidden_headers.contains(name) || name.is_empty() || !name.bytes().all(is_token) {
        Count::Never
    } else if world.plain_headers
        || world.joined_headers.contains(&name.as_str())
        || world.written_headers.iter().any(|header| header.name == *name)
    {
        Count::Optional
    } else {
        Count::Many
    }
}
