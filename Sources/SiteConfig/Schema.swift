import JSONLines

/// What may stand under one key.
struct Rule: Sendable {
    enum Kind: String, CaseIterable, Sendable {
        case string, integer, number, boolean, table, array
        /// Whatever TOML has; only in manifests, where the type follows from another key.
        case any
    }

    /// What a table or an array holds.
    indirect enum Contents: Sendable {
        /// Anything; it is handed on unchecked.
        case free
        /// The keys of the table, or of each table of the array.
        case keys(Schema)
        /// Every value of the table (its names are free) or every element of the array.
        case each(Rule)
    }

    /// A further demand on strings.
    enum Form: String, Sendable {
        /// Letters, digits, `_` and `-`, at most ``ConfigLimits/nameBytes``: fit for a file name and an address.
        case name
        /// One line for people, not empty, at most ``ConfigLimits/textBytes``.
        case text
        /// One component of a path.
        case component
        /// Not empty.
        case path
        /// What a connection can be made to: a name as DNS has them, an IPv4 or an IPv6 address.
        case host
        /// A whole URL of the scheme http or https, without a user name, a password or a fragment.
        case httpURL = "http-url"

        /// Those that a manifest may ask for.
        static let ofManifests: [Form] = [.name, .text, .path, .host, .httpURL]
    }

    /// The rule only counts where another key of the same table has one of these values.
    struct Condition: Sendable {
        let key: String
        let values: [JSON]
    }

    var kind: Kind
    var required = false
    /// Bounds of a number, or of the length of an array.
    var minimum: Double?
    var maximum: Double?
    /// Empty means any.
    var oneOf: [JSON] = []
    /// Bounds of a string's length, in bytes.
    var minimumLength: Int?
    var maximumLength: Int?
    var form: Form?
    var fallback: JSON?
    var contents: Contents = .free
    var condition: Condition?
    /// No two controllers of one link may have the same value.
    var isUnique = false
    /// Part of what tells the link's endpoint from others.
    var isEndpoint = false
    /// In place of a name an integer is also right: users and groups.
    var orInteger = false
    /// The table counts as written even where it is not: its defaults hold and its required keys are missed.
    var isImplied = false

    init(_ kind: Kind) { self.kind = kind }
}

extension Rule {
    static let boolean = Rule(.boolean)
    static let any = Rule(.any)

    static func string(_ form: Form, required: Bool = false) -> Rule {
        var rule = Rule(.string)
        rule.form = form
        rule.required = required
        return rule
    }

    static func integer(
        _ range: ClosedRange<Int>, required: Bool = false, default fallback: Int? = nil
    ) -> Rule {
        var rule = Rule(.integer)
        rule.minimum = Double(range.lowerBound)
        rule.maximum = Double(range.upperBound)
        rule.required = required
        rule.fallback = fallback.map { .int(Int64($0)) }
        return rule
    }

    static func choice(
        _ values: [String], required: Bool = false, default fallback: String? = nil
    ) -> Rule {
        var rule = Rule(.string)
        rule.oneOf = values.map { .string($0) }
        rule.required = required
        rule.fallback = fallback.map { .string($0) }
        return rule
    }

    static func table(_ schema: Schema) -> Rule {
        var rule = Rule(.table)
        rule.contents = .keys(schema)
        rule.isImplied = true
        return rule
    }

    static func tables(_ schema: Schema, atLeast minimum: Int = 0) -> Rule {
        var rule = Rule(.array)
        rule.contents = .keys(schema)
        if minimum > 0 {
            rule.minimum = Double(minimum)
            rule.required = true
        }
        return rule
    }

    static func array(of element: Rule, atLeast minimum: Int = 0) -> Rule {
        var rule = Rule(.array)
        rule.contents = .each(element)
        if minimum > 0 {
            rule.minimum = Double(minimum)
            rule.required = true
        }
        return rule
    }
}

/// The keys of one table.
struct Schema: Sendable {
    private(set) var rules: [(key: String, rule: Rule)]
    /// True where the module that owns some keys is not known: then no key can be called unknown.
    var isOpen = false

    init(_ rules: KeyValuePairs<String, Rule> = [:], isOpen: Bool = false) {
        self.rules = rules.map { ($0.key, $0.value) }
        self.isOpen = isOpen
    }

    init(rules: [(key: String, rule: Rule)]) {
        self.rules = rules
    }

    var keys: [String] { rules.map(\.key) }

    subscript(key: String) -> Rule? { rules.first { $0.key == key }?.rule }

    /// Both sets of keys; the left one's rule counts where both have the key.
    func merged(with other: Schema) -> Schema {
        var merged = Schema(rules: rules + other.rules.filter { self[$0.key] == nil })
        merged.isOpen = isOpen || other.isOpen
        return merged
    }
}
