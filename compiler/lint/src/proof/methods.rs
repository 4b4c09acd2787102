//! Rules that requests of some methods reach.

use super::{Proof, claim::rule_name, replay::Replay};
use crate::rule::Context;
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Field, Reach, language::Test};
use malha_mesh::VirtualService;
use malha_mesh::analysis::{ServiceRules, Worlds};
use malha_syntax::Claim;
use smol_str::SmolStr;

impl Context<'_> {
    /// For each rule of a VirtualService, by number, a request of one of the `methods` that reaches it.
    pub(crate) fn reached_by(
        &self,
        service: &VirtualService,
        rules: &[usize],
        methods: &[&'static str],
    ) -> Vec<Option<Proof>> {
        let replay = Replay::new(self.mesh, self.program);
        let worlds = Worlds::new(self.mesh.config().settings()).of_plain_headers();
        let mut space = ServiceRules::new(self.mesh, service, &worlds);
        let of_rule = |number: &usize| {
            let rows: Vec<usize> = (0..space.rows.len())
                .filter(|row| space.rows.get(*row).is_some_and(|it| it.number == *number))
                .collect();
            rows.into_iter().find_map(|row| {
                let mut wanted = space.list.rows().get(row)?.clone();
                let test = Test::one_of(methods.iter().map(|method| SmolStr::new_static(method)));
                wanted.insert(space.space.literal(&Axis::Field(Field::Method), test, true));
                let left = space.list.left_of(&mut space.space, &wanted, Among::Before(row), DEFAULT_BUDGET);
                let Reach::Live(point) = left else { return None };
                let claim = Claim::TakenBy(rule_name(&space.rows.get(row)?.origin));
                replay.proof(space.requests(&point), &claim)
            })
        };
        rules.iter().map(of_rule).collect()
    }
}
