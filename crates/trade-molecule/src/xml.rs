//! Elements of an XML file, with messages that say where the trouble is.

use std::path::Path;

use crate::{Error, Result};

/// An element of a file being read.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    node: roxmltree::Node<'a, 'a>,
    path: &'a Path,
}

impl<'a> Element<'a> {
    /// The outermost element.
    pub(super) fn root(document: &'a roxmltree::Document<'a>, path: &'a Path) -> Self {
        Self {
            node: document.root_element(),
            path,
        }
    }

    /// The name of its tag.
    pub(super) fn name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// An error about this element.
    pub(super) fn fault(&self, reason: impl AsRef<str>) -> Error {
        let line = self
            .node
            .document()
            .text_pos_at(self.node.range().start)
            .row;
        let (name, reason) = (self.name(), reason.as_ref().replace(char::is_control, "?"));
        Error::file(self.path, format!("line {line}, <{name}>: {reason}"))
    }

    /// Fails unless this is the tag.
    pub(super) fn expect_name(&self, name: &str) -> Result<()> {
        if self.name() == name {
            Ok(())
        } else {
            Err(self.fault(format!("expected <{name}>")))
        }
    }

    /// All elements directly inside.
    pub(super) fn children(&self) -> impl Iterator<Item = Self> + use<'a> {
        let path = self.path;
        self.node
            .children()
            .filter(roxmltree::Node::is_element)
            .map(move |node| Self { node, path })
    }

    /// All elements directly inside, which must have this tag.
    pub(super) fn children_named(&self, name: &str) -> Result<Vec<Self>> {
        let children: Vec<Self> = self.children().collect();
        for child in &children {
            child.expect_name(name)?;
        }
        Ok(children)
    }

    /// What is read of each element directly inside, which must have this tag.
    pub(super) fn list<T>(
        &self,
        name: &str,
        read: impl FnMut(&Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.children_named(name)?.iter().map(read).collect()
    }

    /// The one element inside with this tag.
    pub(super) fn child(&self, name: &str) -> Result<Self> {
        self.children()
            .find(|child| child.name() == name)
            .ok_or_else(|| self.fault(format!("holds no <{name}>")))
    }

    /// Fails where there is an element of this name that holds anything.
    pub(super) fn expect_empty(&self, name: &str) -> Result<()> {
        match self.children().find(|child| child.name() == name) {
            Some(child) if child.children().next().is_some() => {
                Err(child.fault("is not supported with entries"))
            }
            _ => Ok(()),
        }
    }

    /// Fails unless the list has an entry for each atom.
    pub(super) fn expect_count(&self, found: usize, atoms: usize) -> Result<()> {
        if found == atoms {
            Ok(())
        } else {
            Err(self.fault(format!("holds {found} entries for {atoms} atoms")))
        }
    }

    /// The text of an attribute.
    pub(super) fn text(&self, attribute: &str) -> Result<&'a str> {
        self.node
            .attribute(attribute)
            .ok_or_else(|| self.fault(format!("attribute `{attribute}` is missing")))
    }

    /// A finite number.
    pub(super) fn number(&self, attribute: &str) -> Result<f64> {
        self.number_that(attribute, "a finite number", |_| true)
    }

    /// A number that is not below zero.
    pub(super) fn not_negative(&self, attribute: &str) -> Result<f64> {
        self.number_that(attribute, "at least zero", |x| x >= 0.0)
    }

    /// A number above zero.
    pub(super) fn positive(&self, attribute: &str) -> Result<f64> {
        self.number_that(attribute, "a number above zero", |x| x > 0.0)
    }

    /// An angle, rad, within these bounds.
    pub(super) fn radians(&self, attribute: &str, least: f64, most: f64) -> Result<f64> {
        let what = format!("an angle from {least:.4} to {most:.4} rad (degrees are not read)");
        // The numbers of files are rounded.
        self.number_that(attribute, &what, |x| {
            (least - 1e-4..=most + 1e-4).contains(&x)
        })
    }

    pub(super) fn number_that(
        &self,
        attribute: &str,
        what: &str,
        holds: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let text = self.text(attribute)?;
        let value = text.trim().parse::<f64>().ok();
        let value = value.filter(|x| x.is_finite() && holds(*x));
        value.ok_or_else(|| {
            self.fault(format!(
                "attribute `{attribute}` is `{}`, not {what}",
                shown(text)
            ))
        })
    }

    /// Fails where the attribute, if there, asks for something: it must be 0.
    pub(super) fn expect_zero(&self, attribute: &str, meaning: &str) -> Result<()> {
        match self.node.attribute(attribute) {
            None | Some("0") => Ok(()),
            Some(value) => Err(self.fault(format!(
                "`{attribute}` is {value}: {meaning} cannot be computed, only free space"
            ))),
        }
    }

    /// The different atoms `p1`, `p2`, … below `atoms`.
    pub(super) fn atoms<const N: usize>(&self, atoms: usize) -> Result<[usize; N]> {
        let mut list = [0; N];
        for k in 0..N {
            let attribute = format!("p{}", k + 1);
            let text = self.text(&attribute)?;
            list[k] = match text.parse::<usize>() {
                Ok(atom) if atom < atoms => atom,
                _ => {
                    return Err(self.fault(format!(
                        "attribute `{attribute}` is `{}`, not an atom below {atoms}",
                        shown(text)
                    )));
                }
            };
            if list[..k].contains(&list[k]) {
                return Err(self.fault(format!("names atom {} twice", list[k])));
            }
        }
        Ok(list)
    }
}

/// The start of a text.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
