//! Requests of a product: a value for each axis that it speaks of.

use super::{Axis, Count, Ids, Literal, MOST_KNOWN, Point, Product, Search, Space, Values};
use crate::Field;
use crate::language::{Answer, Form, Test, shortest};

impl Space {
    /// A request of the product: the shortest and plainest values that do.
    pub fn point(&mut self, product: &Product) -> Search<Point> {
        let mut point = Point::default();
        let mut literals = product.literals();
        let mut unknown = false;
        let joint = literals.iter().any(|literal| *self.axis_of(*literal) == Axis::Field(Field::PathWithQuery));
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
        let key = (axis, inside, outside);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.values_for(axis, &key.1, &key.2);
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(key, found.clone());
        found
    }

    fn values_for(&mut self, axis: u32, inside: &Ids, outside: &Ids) -> Search<Values> {
        let count = self.axes[axis as usize].count;
        if inside.is_empty() && count != Count::One {
            return Search::Found(Values::new());
        }
        if count == Count::Never {
            return Search::Empty;
        }
        let alone = match self.text(axis, inside, outside) {
            Answer::Text(text) => return Search::Found(Values::from_iter([text])),
            answer => answer,
        };
        if count != Count::Many || inside.len() < 2 {
            return if alone == Answer::Empty { Search::Empty } else { Search::Unknown };
        }
        // No line passes all of them: a line for each that is wanted, where none passes yet.
        let mut lines = Values::new();
        for &wanted in inside {
            let test = &self.tests[wanted as usize];
            if lines.iter().any(|line| test.matches(line)) {
                continue;
            }
            match self.text(axis, &Ids::from_slice(&[wanted]), outside) {
                Answer::Text(line) => lines.push(line),
                Answer::Empty => return Search::Empty,
                Answer::Unknown => return Search::Unknown,
            }
        }
        Search::Found(lines)
    }

    fn text(&mut self, axis: u32, inside: &Ids, outside: &Ids) -> Answer {
        let key = (axis, inside.clone(), outside.clone());
        if let Some(known) = self.known_texts.get(&key) {
            return known.clone();
        }
        let tests = |ids: &Ids| -> Vec<&Test> { ids.iter().map(|&id| &self.tests[id as usize]).collect() };
        let form = &self.axes[axis as usize].form;
        let (mut wanted, unwanted) = (tests(inside), tests(outside));
        wanted.extend(self.every_line.iter().filter(|_| *form == Form::HeaderLine));
        let answer = shortest(form, &wanted, &unwanted, self.limits, &mut self.automata);
        if self.known_texts.len() >= MOST_KNOWN {
            self.known_texts.clear();
        }
        self.known_texts.insert(key, answer.clone());
        answer
    }
}

/// Whether the axis is a part of path and query.
pub(super) fn is_of_target(axis: &Axis) -> bool {
    matches!(axis, Axis::Path | Axis::Field(Field::PathWithQuery | Field::Query(_)))
}
