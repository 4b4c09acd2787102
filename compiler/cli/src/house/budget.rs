//! What a condition may cost: a number of steps, the same on every machine.
//!
//! CEL always ends, but loops in loops, and texts and lists that are doubled again and again, may take longer than
//! anybody waits. So every round of a loop is counted, all that a `+` makes, what is compared or searched where that is
//! long, and every pattern, which has to be understood before it is matched.

use cel::{
    Context, DeclarationError, ExecutionError, Value,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The functions that count. No condition can call them: these are no names of CEL's.
const COUNT: &str = "@count";
const COUNT_LONG: &str = "@countLong";
const COUNT_MATCH: &str = "@countMatch";

/// Shorter texts are compared in no time.
const LONG: usize = 256;

/// What a pattern costs.
const MATCH: u64 = 500;

/// What one condition has used up for one object.
#[derive(Default)]
pub(super) struct Budget {
    used: Arc<AtomicU64>,
}

impl Budget {
    /// How many steps there are.
    pub(super) const STEPS: u64 = 2_000_000;

    /// An expression that counts what it does.
    pub(super) fn metered(mut expression: IdedExpr) -> IdedExpr {
        meter(&mut expression);
        expression
    }

    /// Lets the expressions of a context count.
    ///
    /// # Errors
    /// Something else is called so.
    pub(super) fn offer(&self, context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
        self.counter(context, COUNT, |value, most| size(value, true, most))?;
        self.counter(context, COUNT_LONG, |value, most| match value {
            Value::String(text) if text.len() > LONG => text.len() as u64,
            // Texts that differ do so soon, mostly.
            Value::List(_) | Value::Map(_) => size(value, false, most),
            _ => 0,
        })?;
        self.counter(context, COUNT_MATCH, |_, _| MATCH)
    }

    /// A function that gives back its argument, for so many steps; `steps` need not go beyond the number it is given.
    fn counter(
        &self,
        context: &mut Context<'_, '_>,
        name: &'static str,
        steps: fn(&Value, u64) -> u64,
    ) -> Result<(), DeclarationError> {
        let used = Arc::clone(&self.used);
        context.add_function(name, move |value: Value| {
            let left = Budget::STEPS.saturating_sub(used.load(Ordering::Relaxed));
            let steps = steps(&value, left + 1);
            if used.fetch_add(steps, Ordering::Relaxed) + steps > Budget::STEPS {
                return Err(ExecutionError::function_error(name, "too many steps"));
            }
            Ok(value)
        })
    }

    /// Whether the expression wanted more steps than there are.
    pub(super) fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) > Budget::STEPS
    }
}

/// How many values a value is made of, and bytes its texts have if `texts` count; counted up to `most`.
fn size(value: &Value, texts: bool, most: u64) -> u64 {
    let sum = |parts: &mut dyn Iterator<Item = &Value>| {
        let mut sum = 1;
        while let (true, Some(part)) = (sum <= most, parts.next()) {
            sum += size(part, texts, most.saturating_sub(sum));
        }
        sum
    };
    match value {
        Value::String(text) if texts => 1 + text.len() as u64,
        Value::Bytes(bytes) if texts => 1 + bytes.len() as u64,
        Value::List(items) => sum(&mut items.iter()),
        Value::Map(map) => sum(&mut map.map.values()),
        _ => 1,
    }
}

/// Wraps every round of a loop, and every sum, in a call that counts it.
fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| meter(target));
            call.args.iter_mut().for_each(meter);
            match call.func_name.as_str() {
                operators::ADD => count(COUNT, expression),
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::IN
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | "contains"
                | "startsWith"
                | "endsWith"
                | "size"
                | "string"
                | "bytes" => {
                    let sides = call.target.iter_mut().map(|target| &mut **target).chain(&mut call.args);
                    sides.for_each(|side| count(COUNT_LONG, side));
                }
                "matches" => {
                    call.target.iter_mut().for_each(|target| count(COUNT_LONG, target));
                    count(COUNT_MATCH, expression);
                }
                _ => {}
            }
        }
        Expr::Comprehension(comprehension) => meter_loop(comprehension),
        Expr::List(list) => list.elements.iter_mut().for_each(meter),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Struct(fields) => fields.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// Counts the rounds of a loop.
fn meter_loop(whole: &mut ComprehensionExpr) {
    [&mut whole.iter_range, &mut whole.accu_init, &mut whole.loop_cond, &mut whole.result].into_iter().for_each(meter);
    let accumulator = whole.accu_var.as_str();
    // `map` and `filter` add to a list in place, as long as their own sum is left as it is: what they add is counted.
    let (guard, sum) = match &mut whole.loop_step.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => match call.args.as_mut_slice() {
            [guard, sum, otherwise] if is_named(otherwise, accumulator) => (Some(guard), sum),
            _ => return meter_round(whole),
        },
        _ => (None, &mut whole.loop_step),
    };
    let Some(items) = appended(sum, accumulator) else { return meter_round(whole) };
    for part in guard.into_iter().chain(items) {
        meter(part);
        count(COUNT, part);
    }
}

fn meter_round(whole: &mut ComprehensionExpr) {
    meter(&mut whole.loop_step);
    count(COUNT, &mut whole.loop_cond);
}

/// What a sum adds to a list of this name.
fn appended<'e>(sum: &'e mut IdedExpr, name: &str) -> Option<&'e mut Vec<IdedExpr>> {
    let Expr::Call(CallExpr { func_name, args, .. }) = &mut sum.expr else { return None };
    let [list, added] = args.as_mut_slice() else { return None };
    match &mut added.expr {
        Expr::List(added) if func_name == operators::ADD && is_named(list, name) => Some(&mut added.elements),
        _ => None,
    }
}

fn is_named(expression: &IdedExpr, wanted: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == wanted)
}

fn meter_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => meter(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            meter(&mut entry.key);
            meter(&mut entry.value);
        }
    }
}

/// Wraps an expression in a call of a function that counts.
fn count(function: &str, expression: &mut IdedExpr) {
    let counted = std::mem::take(expression);
    let id = counted.id;
    let call = CallExpr { func_name: function.to_owned(), target: None, args: vec![counted] };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}
