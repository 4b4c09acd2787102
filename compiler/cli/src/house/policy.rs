//! A condition of the house in CEL, asked about objects of some kinds.

use super::{
    POLICY,
    budget::Budget,
    object::{Object, Step},
};
use crate::{config::LintPolicy, failure::Failure};
use cel::{Context, Env, ExecutionError, Value, objects::Key, parser::Expression};
use malha_syntax::{Finding, Node, NodeKind, Scalar, Severity};
use std::{collections::HashMap, sync::Arc};

/// What conditions call the object.
const OBJECT: &str = "object";

/// No condition is longer, in bytes.
const LONGEST: usize = 16 << 10;

pub(super) struct Policy {
    name: String,
    kinds: Vec<String>,
    /// What conditions may call.
    environment: Arc<Env>,
    expression: Expression,
    message: String,
    help: Option<String>,
    severity: Option<Severity>,
    /// Where a finding points: the keys on the way from the object.
    field: Vec<String>,
}

impl Policy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// Its condition is no CEL.
    pub(super) fn compile(policy: &LintPolicy) -> Result<Policy, Failure> {
        if policy.check.len() > LONGEST {
            return Err(Failure::new(format!("the condition has over {LONGEST} bytes")));
        }
        let environment = Env::stdlib();
        let parsed = environment.parser().parse(&policy.check);
        let expression = parsed.map_err(|errors| {
            let said = errors.errors.iter().map(|error| format!("{}:{}: {}", error.pos.0, error.pos.1, error.msg));
            Failure::new(format!("the condition is not understood: {}", said.collect::<Vec<_>>().join("\n  ")))
        })?;
        Ok(Policy {
            name: policy.name.clone(),
            kinds: policy.kinds.clone(),
            environment: Arc::new(environment),
            expression: Budget::metered(expression),
            message: policy.message.clone(),
            help: policy.help.clone(),
            severity: policy.severity,
            field: policy.field.iter().flat_map(|field| field.split('.')).map(str::to_owned).collect(),
        })
    }

    /// Whether it is asked about objects of a kind.
    pub(super) fn is_about(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|one| one == kind)
    }

    /// What the condition says of an object; none if it holds.
    pub(super) fn check(&self, object: &Object<'_>) -> Option<Finding> {
        let message = match self.holds(object) {
            Ok(true) => return None,
            Ok(false) => format!("{} (policy `{}`)", self.message, self.name),
            Err(why) => format!("the policy `{}` cannot be decided: {why}", self.name),
        };
        let path: Vec<Step<'_>> = self.field.iter().map(|key| Step::Key(key)).collect();
        let (node, taken) = object.follow(&path);
        let mut span = object.named_at();
        if let (true, Some((last, before))) = (taken > 0, path.get(..taken).and_then(<[Step<'_>]>::split_last)) {
            let key = match last {
                Step::Key(key) => object.follow(before).0.entry_of(key).map(|(key, _)| key.span()),
                Step::Index(_) => None,
            };
            // A mapping or a list is named by its key: its own span is all that it holds.
            span = key.filter(|_| node.scalar().is_none()).unwrap_or(node.span());
        }
        let mut finding = object.finding(&POLICY, span, path.get(..taken).unwrap_or_default(), message);
        finding.help.clone_from(&self.help);
        finding.severity = self.severity.unwrap_or(finding.severity);
        Some(finding)
    }

    /// Whether the condition holds; else why that cannot be said.
    fn holds(&self, object: &Object<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(&self.environment));
        let budget = Budget::default();
        budget.offer(&mut context).map_err(|error| error.to_string())?;
        context.add_variable_from_value(OBJECT, value(object.node));
        let decided = context.resolve(&self.expression);
        if budget.is_spent() {
            return Err(format!("it takes over {} steps for this object", Budget::STEPS));
        }
        match decided {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it is {}, neither true nor false", kind_of(&other))),
            Err(ExecutionError::NoSuchKey(key)) => {
                Err(format!("the object has no `{key}` where the policy reads it; guard it with `has(...)`"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a string",
        Value::Null => "null",
        _ => "something else",
    }
}

/// The value of a node: whole numbers are `int`, as those that conditions write.
fn value(node: Node<'_>) -> Value {
    match node.kind() {
        NodeKind::Mapping => {
            let key = |text: &str| Key::String(Arc::new(text.to_owned()));
            let entries: HashMap<Key, Value> =
                node.entries().map(|(name, part)| (key(name.text()), value(part))).collect();
            Value::from(entries)
        }
        NodeKind::Sequence => Value::List(Arc::new(node.items().map(value).collect())),
        NodeKind::Scalar => match node.scalar() {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => Value::Bool(value),
            Some(Scalar::Int(value)) => Value::Int(value),
            Some(Scalar::Uint(value)) => Value::UInt(value),
            Some(Scalar::Float(value)) => Value::Float(value),
            Some(Scalar::String(text)) => Value::String(Arc::new(text.into_owned())),
        },
    }
}
