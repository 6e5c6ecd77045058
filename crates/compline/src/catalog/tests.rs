use super::*;

#[test]
fn every_view_of_the_shipped_sql_has_a_name_a_comment_a_query_and_columns() {
    let views = views("audit");
    let statements = sql_of_views("audit").matches("CREATE OR REPLACE VIEW audit.").count();
    assert_eq!((views.len(), statements), (13, 13));
    for view in views {
        assert!(!view.comment.is_empty() && view.comment.len() <= 2048 && !view.comment.contains("--"), "{view:?}");
        assert!(view.sql.starts_with("SELECT") || view.sql.starts_with("WITH"), "{view:?}");
        assert!(
            !view.sql.contains(';') && !view.sql.contains(" compline.") && view.sql.contains(" audit."),
            "{view:?}"
        );
        assert!(!view.columns.is_empty(), "{view:?}");
        // Columns by name: one that a table gets later must not make a view stale.
        assert!(!view.sql.contains(".*") && !view.sql.contains("SELECT *"), "{view:?}");
        for column in &view.columns {
            assert!(view.sql.contains(column.name), "{}: {}", view.name, column.name);
        }
    }
}
