//! Path and query as one text, where a rule tests `:path` as a header.

use super::{Axis, Point, Product, Search, Space, Values, field::is_of_target};
use crate::Field;
use crate::language::{Answer, Form, Limits, Reading, Test, search};

impl Space {
    /// Looks for path and query together, and puts them into `point`.
    pub(super) fn target_point(&mut self, product: &Product, point: &mut Point) -> Search<()> {
        let mut literals: Vec<_> = product.literals().to_vec();
        literals.retain(|literal| is_of_target(self.axis_of(*literal)));
        // What can never be there needs no search; what must not be there is not.
        literals.retain(|literal| literal.holds || self.axes[literal.axis as usize].count != super::Count::Never);
        if literals.iter().any(|literal| self.axes[literal.axis as usize].count == super::Count::Never) {
            return Search::Empty;
        }
        let (mut inside, mut outside): (Vec<(Reading<'_>, &Test)>, Vec<_>) = (Vec::new(), Vec::new());
        for literal in &literals {
            let reading = match &self.axes[literal.axis as usize].axis {
                Axis::Path => Reading::BeforeQuery,
                Axis::Field(Field::Query(name)) => Reading::Parameter(name),
                _ => Reading::Whole,
            };
            let side = if literal.holds { &mut inside } else { &mut outside };
            side.push((reading, &self.tests[literal.test as usize]));
        }
        let form = Form::Target(self.world.path);
        let limits = Limits { work: self.left, ..self.limits };
        let answer = search(&form, &inside, &outside, limits, &mut self.automata);
        self.left = self.left.saturating_sub(self.automata.take_cost());
        match answer {
            Answer::Text(text) => {
                self.put_target(text, point);
                Search::Found(())
            }
            Answer::Empty => Search::Empty,
            Answer::Unknown => Search::Unknown,
        }
    }

    fn put_target(&mut self, text: Vec<u8>, point: &mut Point) {
        let (path, query) = split(&text);
        for number in 0..self.axes.len() as u32 {
            let values = match &self.axes[number as usize].axis {
                Axis::Path => Values::from_iter([path.to_vec()]),
                Axis::Field(Field::Query(name)) => {
                    parameter(query, name.as_bytes()).map(<[u8]>::to_vec).into_iter().collect()
                }
                _ => continue,
            };
            point.set(number, values);
        }
        point.target = Some(text);
    }

    /// The path of a request with its query.
    pub fn target(&mut self, point: &Point) -> Vec<u8> {
        if let Some(target) = &point.target {
            return target.clone();
        }
        let path = self.axis(&Axis::Path);
        let mut target = self.values_of(point, path).into_iter().next().unwrap_or_default();
        let mut mark = b'?';
        for (axis, values) in &point.values {
            let (Axis::Field(Field::Query(name)), Some(value)) = (&self.axes[*axis as usize].axis, values.first())
            else {
                continue;
            };
            target.push(mark);
            mark = b'&';
            target.extend_from_slice(name.as_bytes());
            if !value.is_empty() {
                target.push(b'=');
                target.extend_from_slice(value);
            }
        }
        target
    }
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// The first occurrence of a parameter.
fn parameter<'q>(query: Option<&'q [u8]>, name: &[u8]) -> Option<&'q [u8]> {
    query?.split(|&byte| byte == b'&').find_map(|pair| match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at] == name).then_some(&pair[at + 1..]),
        None => (pair == name).then_some(&b""[..]),
    })
}
