//! Requests of a product: a value for each axis that it speaks of.

use super::{
    Axis, Count, Literal, Point, Product, Search, Space, Values,
    memo::{Ids, Question, Weight},
};
use crate::Field;
use crate::language::{Answer, Form, Limits, Test, shortest};

impl Space {
    /// A request of the product: the shortest and plainest values that do.
    pub fn point(&mut self, product: &Product) -> Search<Point> {
        let mut point = Point::default();
        let mut literals = product.literals();
        let mut unknown = false;
        let joint = self.is_joint(product);
        if joint {
            match self.target_point(product, &mut point) {
                Search::Found(()) => {}
                Search::Empty => return Search::Empty,
                Search::Unknown => unknown = true,
            }
        }
        while let Some(first) = literals.first() {
            let (own, rest) = literals.split_at(literals.partition_point(|literal| literal.axis == first.axis));
            literals = rest;
            if joint && is_of_target(self.axis_of(*first)) {
                continue;
            }
            match self.field(first.axis, own) {
                Search::Found(values) => point.set(first.axis, values),
                Search::Empty => return Search::Empty,
                Search::Unknown => unknown = true,
            }
        }
        if unknown { Search::Unknown } else { Search::Found(point) }
    }

    /// Whether path and query are looked for as one text.
    fn is_joint(&self, product: &Product) -> bool {
        product.literals().iter().any(|literal| *self.axis_of(*literal) == Axis::Field(Field::PathWithQuery))
    }

    /// Makes `point`, a request of the product without `literal`, one of the product: only its axis is looked at.
    pub(crate) fn adapt(&mut self, product: &Product, literal: Literal, point: &mut Point) -> Search<()> {
        if is_of_target(self.axis_of(literal)) && self.is_joint(product) {
            return self.target_point(product, point);
        }
        match self.field(literal.axis, product.beside(literal)) {
            Search::Found(values) => {
                point.set(literal.axis, values);
                Search::Found(())
            }
            Search::Empty => Search::Empty,
            Search::Unknown => Search::Unknown,
        }
    }

    /// Whether a request of the product need not meet a literal; so, too, where that is unknown.
    pub(crate) fn is_open(&mut self, product: &Product, literal: Literal) -> bool {
        if is_of_target(self.axis_of(literal)) {
            let mut denied = product.clone();
            denied.insert(!literal);
            if self.is_joint(&denied) {
                return self.target_point(&denied, &mut Point::default()) != Search::Empty;
            }
        }
        let mut denied = product.beside(literal).to_vec();
        denied.push(!literal);
        self.field(literal.axis, &denied) != Search::Empty
    }

    /// Whether the product holds no request; not so where that is unknown.
    pub fn is_empty(&mut self, product: &Product) -> bool {
        self.point(product) == Search::Empty
    }

    /// The plainest values of one axis that `literals`, all about it, let pass.
    pub(super) fn field(&mut self, axis: u32, literals: &[Literal]) -> Search<Values> {
        let all = self.axes[axis as usize].assumed.iter().chain(literals);
        let (mut inside, mut outside) = (Ids::new(), Ids::new());
        for literal in all {
            if literal.holds { inside.push(literal.test) } else { outside.push(literal.test) }
        }
        for ids in [&mut inside, &mut outside] {
            ids.sort_unstable();
            ids.dedup();
        }
        let question = (axis, inside, outside);
        // It is not the question alone that costs: texts are copied.
        if !self.spend((question.1.len() + question.2.len()) / 8) {
            return Search::Unknown;
        }
        let known = self.known.get(&question);
        let found = known.unwrap_or_else(|| {
            let found = self.values_for(&question);
            self.known.insert(question, found.clone());
            found
        });
        self.spend(found.weight());
        found
    }

    fn values_for(&mut self, question: &Question) -> Search<Values> {
        let (axis, inside, outside) = (question.0, &question.1, &question.2);
        let count = self.axes[axis as usize].count;
        if inside.is_empty() && count != Count::One {
            return Search::Found(Values::new());
        }
        if count == Count::Never {
            return Search::Empty;
        }
        let alone = match self.text(question) {
            Answer::Text(text) => return Search::Found(Values::from_iter([text])),
            answer => answer,
        };
        if count != Count::Many || inside.len() < 2 {
            return if alone == Answer::Empty { Search::Empty } else { Search::Unknown };
        }
        // No line passes all of them: a line for each that is wanted, where none passes yet.
        let mut lines = Values::new();
        for &wanted in inside {
            if !self.spend(8 * (1 + lines.len() + outside.len())) {
                return Search::Unknown;
            }
            let test = &self.tests[wanted as usize];
            if lines.iter().any(|line| test.matches(line)) {
                continue;
            }
            let line = (axis, Ids::from_slice(&[wanted]), outside.clone());
            let answer = self.known_lines.get(&line).unwrap_or_else(|| self.text(&line));
            self.known_lines.insert(line, answer.clone());
            match answer {
                Answer::Text(line) => lines.push(line),
                Answer::Empty => return Search::Empty,
                Answer::Unknown => return Search::Unknown,
            }
        }
        Search::Found(lines)
    }

    fn text(&mut self, (axis, inside, outside): &Question) -> Answer {
        // Each text that is tried is held against all of them.
        if !self.spend(8 * (1 + inside.len() + outside.len())) {
            return Answer::Unknown;
        }
        let tests = |ids: &Ids| -> Vec<&Test> { ids.iter().map(|&id| &self.tests[id as usize]).collect() };
        let form = &self.axes[*axis as usize].form;
        let (mut wanted, unwanted) = (tests(inside), tests(outside));
        wanted.extend(self.every_line.iter().filter(|_| *form == Form::HeaderLine));
        let limits = Limits { work: self.left, ..self.limits };
        let answer = shortest(form, &wanted, &unwanted, limits, &mut self.automata);
        self.left = self.left.saturating_sub(self.automata.take_cost());
        // Each test has read it.
        self.spend(answer.weight() * (1 + inside.len() + outside.len()));
        answer
    }
}

/// Whether the axis is a part of path and query.
pub(super) fn is_of_target(axis: &Axis) -> bool {
    matches!(axis, Axis::Path | Axis::Field(Field::PathWithQuery | Field::Query(_)))
}
