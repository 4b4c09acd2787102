//! Who sees a config: `exportTo` (semantics 0.7).

use smol_str::SmolStr;

/// To which namespaces a config or service is visible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// `*`: to all.
    #[default]
    Public,
    /// To these, sorted; the config's own is in it where `.` was written.
    Namespaces(Vec<SmolStr>),
    /// `~`: to nobody.
    Nobody,
}

impl Visibility {
    /// What `exportTo` says in a config of `namespace`; `default` where it says nothing.
    ///
    /// `*` beats everything else in the list, `~` everything but `*`.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>, namespace: &str, default: &ExportDefault) -> Self {
        let mut names: Vec<SmolStr> = Vec::new();
        let mut nobody = false;
        let mut any = false;
        for entry in entries {
            any = true;
            match entry {
                "*" => return Visibility::Public,
                "~" => nobody = true,
                "." => names.push(namespace.into()),
                other => names.push(other.into()),
            }
        }
        if !any {
            return default.of(namespace);
        }
        if nobody {
            return Visibility::Nobody;
        }
        names.sort();
        names.dedup();
        Visibility::Namespaces(names)
    }

    /// Whether proxies of `namespace` see it.
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Visibility::Public => true,
            Visibility::Namespaces(names) => names.iter().any(|name| name == namespace),
            Visibility::Nobody => false,
        }
    }

    /// Whether it is visible to `namespace`, its own, and to no other.
    pub fn is_private_to(&self, namespace: &str) -> bool {
        matches!(self, Visibility::Namespaces(names) if names.iter().all(|name| name == namespace))
    }
}

/// What holds for configs without `exportTo`: `default*ExportTo` of the mesh configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExportDefault(pub Vec<SmolStr>);

impl ExportDefault {
    /// The visibility of a config of `namespace` that has no `exportTo`; `*` where the mesh says nothing.
    pub fn of(&self, namespace: &str) -> Visibility {
        if self.0.is_empty() {
            return Visibility::Public;
        }
        Visibility::new(self.0.iter().map(SmolStr::as_str), namespace, &ExportDefault::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[&str]) -> Visibility {
        Visibility::new(entries.iter().copied(), "prod", &ExportDefault::default())
    }

    #[test]
    fn export_to_decides_who_sees_a_config() {
        assert!(read(&[]).includes("any"), "0.7: public unless said otherwise");
        assert!(read(&["."]).includes("prod"), "0.7");
        assert!(!read(&["."]).includes("test"), "0.7");
        assert!(read(&["test"]).includes("test"), "0.7");
        assert!(!read(&["test"]).includes("prod"), "0.7: not even its own namespace, unless named");
        assert_eq!(read(&[".", "*", "~"]), Visibility::Public, "0.7: * beats the rest");
        assert_eq!(read(&["~"]), Visibility::Nobody, "0.7");
        assert!(!read(&["~"]).includes("prod"), "0.7");
    }

    #[test]
    fn the_mesh_has_a_default() {
        let default = ExportDefault(vec![".".into()]);
        assert!(default.of("prod").is_private_to("prod"), "0.7");
        assert_eq!(Visibility::new(["*"], "prod", &default), Visibility::Public);
    }
}
