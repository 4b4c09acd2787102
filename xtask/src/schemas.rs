//! The JSON Schemas of the kinds, for editors.

use crate::generated::{Files, folder};

/// schemas/*.json, from the model.
pub(crate) fn files() -> Result<Files, String> {
    let folder = folder("schemas");
    let mut files = Files::new();
    for kind in malha_model::SCHEMA_KINDS {
        let schema = malha_model::schema(kind).ok_or_else(|| format!("{kind} has no schema"))?;
        let text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?;
        files.push((folder.join(format!("{kind}.json")), text + "\n"));
    }
    Ok(files)
}
