//! Classes of characters that have a name in Unicode.

use super::parse::Reader;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind, Literal};
use std::sync::OnceLock;

/// The class that the reader knows by this name, as in `\p{name}`.
pub(super) fn class(name: &str, reader: Reader) -> Option<&'static ClassUnicode> {
    static TABLES: [OnceLock<ClassUnicode>; NAMES.len()] = [const { OnceLock::new() }; NAMES.len()];

    let known = match reader {
        Reader::Re2 => NAMES.iter().position(|known| *known == name)?,
        Reader::Go => go_position(name)?,
    };
    Some(TABLES[known].get_or_init(|| table(NAMES[known])))
}

/// Go passes over case, spaces, `-` and `_` in what is asked for, but compares with the names of scripts as Unicode
/// writes them: no script with a `_` in its name is ever found.
fn go_position(name: &str) -> Option<usize> {
    let mut canonical: String = name.chars().filter(|character| !matches!(character, ' ' | '-' | '_')).collect();
    canonical.make_ascii_lowercase();
    if let Some(first) = canonical.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if let Some(position) = NAMES.iter().position(|known| *known == canonical) {
        return Some(position);
    }
    let alias = |alias: &&str| alias.replace('_', "").eq_ignore_ascii_case(&canonical);
    // What is in these matters to nobody: RE2, which matches, does not know them.
    GO_NAMES.iter().any(alias).then_some(0)
}

/// What Unicode puts into the class.
fn table(name: &str) -> ClassUnicode {
    match name {
        // To RE2, what is not assigned is in no class.
        "C" => {
            let mut other = table("Cc");
            other.union(&table("Cf"));
            other.union(&table("Co"));
            other
        }
        "Any" => {
            let mut any = ClassUnicode::empty();
            any.negate();
            any
        }
        // Surrogates are not characters, and no text holds them.
        "Cs" => ClassUnicode::empty(),
        _ => match regex_syntax::parse(&format!(r"[\p{{{name}}}&&\p{{Age={VERSION}}}]"))
            .map(regex_syntax::hir::Hir::into_kind)
        {
            Ok(HirKind::Class(Class::Unicode(class))) => class,
            // A class of one character is simplified to it.
            Ok(HirKind::Literal(Literal(bytes))) => ClassUnicode::new(
                String::from_utf8_lossy(&bytes).chars().map(|character| ClassUnicodeRange::new(character, character)),
            ),
            // Not reached, as the test below shows: regex-syntax knows every other name.
            _ => ClassUnicode::empty(),
        },
    }
}

/// The version of Unicode in RE2's tables. Characters that are younger are in no class.
const VERSION: &str = "15.1";

/// `Any`, general categories and scripts, as RE2 writes them.
const NAMES: [&str; 200] = [
    "Any",
    "C",
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "L",
    "Ll",
    "Lm",
    "Lo",
    "Lt",
    "Lu",
    "M",
    "Mc",
    "Me",
    "Mn",
    "N",
    "Nd",
    "Nl",
    "No",
    "P",
    "Pc",
    "Pd",
    "Pe",
    "Pf",
    "Pi",
    "Po",
    "Ps",
    "S",
    "Sc",
    "Sk",
    "Sm",
    "So",
    "Z",
    "Zl",
    "Zp",
    "Zs",
    "Adlam",
    "Ahom",
    "Anatolian_Hieroglyphs",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Bassa_Vah",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Canadian_Aboriginal",
    "Carian",
    "Caucasian_Albanian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cypro_Minoan",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dives_Akuru",
    "Dogra",
    "Duployan",
    "Egyptian_Hieroglyphs",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gunjala_Gondi",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanifi_Rohingya",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Imperial_Aramaic",
    "Inherited",
    "Inscriptional_Pahlavi",
    "Inscriptional_Parthian",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kayah_Li",
    "Kharoshthi",
    "Khitan_Small_Script",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Linear_A",
    "Linear_B",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Masaram_Gondi",
    "Medefaidrin",
    "Meetei_Mayek",
    "Mende_Kikakui",
    "Meroitic_Cursive",
    "Meroitic_Hieroglyphs",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nag_Mundari",
    "Nandinagari",
    "New_Tai_Lue",
    "Newa",
    "Nko",
    "Nushu",
    "Nyiakeng_Puachue_Hmong",
    "Ogham",
    "Ol_Chiki",
    "Old_Hungarian",
    "Old_Italic",
    "Old_North_Arabian",
    "Old_Permic",
    "Old_Persian",
    "Old_Sogdian",
    "Old_South_Arabian",
    "Old_Turkic",
    "Old_Uyghur",
    "Oriya",
    "Osage",
    "Osmanya",
    "Pahawh_Hmong",
    "Palmyrene",
    "Pau_Cin_Hau",
    "Phags_Pa",
    "Phoenician",
    "Psalter_Pahlavi",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "SignWriting",
    "Sinhala",
    "Sogdian",
    "Sora_Sompeng",
    "Soyombo",
    "Sundanese",
    "Syloti_Nagri",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Tai_Le",
    "Tai_Tham",
    "Tai_Viet",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Toto",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Warang_Citi",
    "Yezidi",
    "Yi",
    "Zanabazar_Square",
];

/// What only Go knows, next to its looser spelling of the others: long names of categories, and some more.
const GO_NAMES: [&str; 46] = [
    "ASCII",
    "Assigned",
    "Cn",
    "LC",
    "Cased_Letter",
    "Close_Punctuation",
    "Combining_Mark",
    "Connector_Punctuation",
    "Control",
    "Currency_Symbol",
    "Dash_Punctuation",
    "Decimal_Number",
    "Enclosing_Mark",
    "Final_Punctuation",
    "Format",
    "Initial_Punctuation",
    "Letter",
    "Letter_Number",
    "Line_Separator",
    "Lowercase_Letter",
    "Mark",
    "Math_Symbol",
    "Modifier_Letter",
    "Modifier_Symbol",
    "Nonspacing_Mark",
    "Number",
    "Open_Punctuation",
    "Other",
    "Other_Letter",
    "Other_Number",
    "Other_Punctuation",
    "Other_Symbol",
    "Paragraph_Separator",
    "Private_Use",
    "Punctuation",
    "Separator",
    "Space_Separator",
    "Spacing_Mark",
    "Surrogate",
    "Symbol",
    "Titlecase_Letter",
    "Unassigned",
    "Uppercase_Letter",
    "cntrl",
    "digit",
    "punct",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_table() {
        for name in NAMES {
            let class = class(name, Reader::Re2).expect(name);
            assert_eq!(class.ranges().is_empty(), name == "Cs", "{name}");
        }
    }

    #[test]
    fn tables_are_as_old_as_those_of_re2() {
        // What RE2 counts.
        for (name, count) in [("L", 136_726), ("N", 1831), ("S", 7775), ("C", 137_703), ("Han", 99_030)] {
            let class = class(name, Reader::Re2).expect(name);
            assert_eq!(class.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum::<usize>(), count, "{name}");
        }
    }

    #[test]
    fn go_spells_loosely_but_misses_scripts_of_several_words() {
        for name in ["Greek", "greek", "G r-e_ek", "lu", "LETTER", "lowercase letter", "lc", "any", "Cntrl"] {
            assert!(class(name, Reader::Go).is_some(), "{name}");
        }
        for name in ["", "Old_Italic", "OldItalic", "SignWriting", "IsGreek"] {
            assert!(class(name, Reader::Go).is_none(), "{name}");
        }
        assert!(class("Old_Italic", Reader::Re2).is_some());
        assert!(class("greek", Reader::Re2).is_none());
    }
}
