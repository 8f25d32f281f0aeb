/// How an operation is found: the newest ones by looking at each, all others by an index.
enum OperationSearch {
    /// The newest row whose column is `?1`; `?2` is the newest row that the indexes know.
    static func newest(_ column: String) -> String {
        """
        SELECT * FROM (
            SELECT * FROM operations WHERE n > ?2 AND \(column) = ?1
            UNION ALL SELECT * FROM operations WHERE filed = 1 AND \(column) = ?1)
        ORDER BY n DESC LIMIT 1
        """
    }
}
