//! Lists that come page by page.

use crate::types;

/// One page of a list.
pub trait Page {
    /// What is listed.
    type Item;
    /// Its items, and the cursor of the next page if there is one.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

macro_rules! pages {
    ($($page:ident of $item:ident,)+) => {
        $(impl Page for types::$page {
            type Item = types::$item;
            fn split(self) -> (Vec<types::$item>, Option<String>) {
                (self.items, self.next)
            }
        })+
    };
}

pages! {
    PageAssignmentView of AssignmentView,
    PageAuditEntry of AuditEntry,
    PageConfigurationView of ConfigurationView,
    PageGroupView of GroupView,
    PageIconView of IconView,
    PageImageView of ImageView,
    PageLayerView of LayerView,
    PageRevisionView of RevisionView,
    PageSessionView of SessionView,
    PageTaskView of TaskView,
    PageTemplateView of TemplateView,
    PageTokenView of TokenView,
    PageUsage of Usage,
    PageUserView of UserView,
    PageVersionView of VersionView,
}

/// The first `most` items of a list, and whether there are more. `ask` gets the page at a cursor, of at most so many items.
pub async fn pages<P: Page, E>(
    most: usize,
    mut ask: impl AsyncFnMut(Option<String>, u32) -> Result<P, E>,
) -> Result<(Vec<P::Item>, bool), E> {
    /// Most items that the server gives at once.
    const AT_ONCE: usize = 200;
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let wanted = (most - items.len()).min(AT_ONCE);
        let (more, next) = ask(cursor.take(), wanted as u32).await?.split();
        items.extend(more);
        match next {
            None => return Ok((items, false)),
            Some(_) if items.len() >= most => return Ok((items, true)),
            next => cursor = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(Vec<u32>, Option<String>);

    impl Page for Numbers {
        type Item = u32;
        fn split(self) -> (Vec<u32>, Option<String>) {
            (self.0, self.1)
        }
    }

    /// The first `most` of the numbers below 450, in pages as the server makes them.
    async fn list(most: usize) -> (Vec<u32>, bool) {
        pages(most, async |cursor, limit| {
            assert!((1..=200).contains(&limit), "{limit}");
            let from: u32 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let to = (from + limit).min(450);
            Ok::<_, ()>(Numbers((from..to).collect(), (to < 450).then(|| to.to_string())))
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn pages_are_asked_for_until_there_is_enough() {
        for (most, count, more) in
            [(1, 1, true), (200, 200, true), (250, 250, true), (450, 450, false), (9999, 450, false)]
        {
            let (items, left) = list(most).await;
            assert_eq!((items.len(), left), (count, more), "{most}");
            assert!(items.iter().copied().eq(0..count as u32));
        }
    }
}
