/// The last names that were added, as many as `limit`.
struct RecentNames {
    static let limit = 1024
    private var names: Set<String> = []
    private var order: [String] = []
    private var next = 0

    func contains(_ name: String) -> Bool { names.contains(name) }

    mutating func add(_ more: [String]) {
        for name in more where names.insert(name).inserted {
            if order.count < Self.limit {
                order.append(name)
            } else {
                names.remove(order[next])
                order[next] = name
                next = (next + 1) % Self.limit
            }
        }
    }
}
