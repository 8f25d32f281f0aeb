import JSONLines

// What a rule says about one value, and how it says it.

extension Rule {
    func accepts(kindOf value: JSON) -> Bool {
        switch (kind, value) {
        case (.string, .string), (.integer, .int), (.number, .int), (.number, .double),
            (.boolean, .bool), (.table, .object), (.array, .array):
            true
        case (.string, .int): orInteger
        case (.any, _): true
        default: false
        }
    }

    func allows(_ number: Double) -> Bool {
        number.isFinite && number >= minimum ?? -.infinity && number <= maximum ?? .infinity
    }

    private func allows(length: Int) -> Bool {
        length >= minimumLength ?? 0 && length <= maximumLength ?? .max
    }

    /// Nil for a value that is right; otherwise how to name it in a message.
    func objection(to value: JSON) -> String? {
        guard accepts(kindOf: value) else { return described(value) }
        if !oneOf.isEmpty && !oneOf.contains(value) { return literal(value) }
        switch value {
        case .int, .double:
            return allows(value.doubleValue ?? .nan) ? nil : literal(value)
        case .string(let text):
            guard allows(length: text.utf8.count) else { return "\(text.utf8.count) bytes long" }
            return form?.objection(to: text)
        default:
            return nil
        }
    }

    /// What is right, for "want …".
    var wanted: String {
        if !oneOf.isEmpty { return alternatives(oneOf) }
        if let form {
            return orInteger ? "\(form.wanted) or a number" : "\(form.wanted)\(lengths)"
        }
        switch kind {
        case .string: return "a string\(lengths)"
        case .integer: return hasRange ? range : "an integer"
        case .number: return hasRange ? range : "a number"
        case .boolean: return "true or false"
        case .any: return "a value"
        case .table: return "a table"
        case .array:
            let what =
                switch contents {
                case .each(let rule): "\(rule.kind)s"
                case .keys: "tables"
                case .free: "values"
                }
            return hasRange ? "an array of \(range) \(what)" : "an array of \(what)"
        }
    }

    /// The same where the key is known: arrays of tables are written with it.
    func wanted(at path: Path) -> String {
        if case .keys = contents, kind == .array { return "[[\(path.text)]] tables" }
        return wanted
    }

    /// The same where it is known what came: a number with a point may lie in the range and still be none.
    func wanted(at path: Path, insteadOf value: JSON) -> String {
        if case .double = value, kind == .integer, oneOf.isEmpty, hasRange {
            return "an integer, \(range)"
        }
        return wanted(at: path)
    }

    private var hasRange: Bool { minimum != nil || maximum != nil }

    /// ` of 1-64 bytes`, or nothing.
    private var lengths: String {
        switch (minimumLength, maximumLength) {
        case (let low?, let high?): " of \(low)-\(high) bytes"
        case (let low?, nil): " of at least \(low) bytes"
        case (nil, let high?): " of at most \(high) bytes"
        case (nil, nil): ""
        }
    }

    /// `1-247`, `at least 1`, `at most 5`.
    var range: String {
        switch (minimum, maximum) {
        case (let low?, let high?): "\(plain(low))-\(plain(high))"
        case (let low?, nil): "at least \(plain(low))"
        case (nil, let high?): "at most \(plain(high))"
        case (nil, nil): "any number"
        }
    }
}

extension Rule.Form {
    func accepts(_ text: String) -> Bool {
        switch self {
        case .name:
            text.utf8.count <= ConfigLimits.nameBytes
                && text.utf8.first.map { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
                    == true
                && text.utf8.allSatisfy(Self.isNameByte)
        case .text:
            !text.isEmpty && text.utf8.count <= ConfigLimits.textBytes && oneLine(text) == text
        case .component:
            !text.isEmpty && text.utf8.count <= 255 && text != "." && text != ".."
                && !text.utf8.contains(UInt8(ascii: "/")) && oneLine(text) == text
        case .path:
            !text.isEmpty && text.utf8.count <= 4096
        case .host: HostForm.accepts(text)
        case .httpURL: URLForm.objection(to: text) == nil
        }
    }

    /// Nil for a text that is right; otherwise how to name it in a message.
    func objection(to text: String) -> String? {
        // Some services put keys into paths and queries, so a URL is not shown.
        if self == .httpURL { return URLForm.objection(to: text).map { "a URL that \($0)" } }
        return accepts(text) ? nil : quoted(text)
    }

    var wanted: String {
        switch self {
        case .name:
            "a name of a-z, 0-9, _ and -, at most \(ConfigLimits.nameBytes) long"
        case .text: "one line of text, at most \(ConfigLimits.textBytes) bytes"
        case .component: "a file name without a folder"
        case .path: "a path"
        case .host: "a host name or an IP address"
        case .httpURL: "an http or https URL"
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// The value itself where it is short and cannot be a secret; otherwise what it is.
func described(_ value: JSON) -> String {
    switch value {
    case .int, .double, .bool: literal(value)
    case .null: "a date or time"
    case .object: "a table"
    default: value.kind
    }
}

/// As a person would write it in the file.
func literal(_ value: JSON) -> String {
    switch value {
    case .string(let text): quoted(text)
    // With its point, which tells it from an integer.
    case .double(let number): "\(number)"
    default: value.text
    }
}

/// `"rtu" or "tcp"`.
func alternatives(_ values: [JSON]) -> String {
    let words = values.map(literal)
    guard let last = words.last, words.count > 1 else { return words.first ?? "nothing" }
    return "\(words.dropLast().joined(separator: ", ")) or \(last)"
}

private func plain(_ number: Double) -> String {
    Int(exactly: number).map(String.init) ?? "\(number)"
}
