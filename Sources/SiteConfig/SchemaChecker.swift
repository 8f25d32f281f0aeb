import JSONLines

/// Checks a table against a schema. Whatever is wrong goes into the findings, and the table comes back without it: known keys only,
/// right values only, defaults filled in. Arrays keep their length, so that places stay comparable with the raw table.
struct SchemaChecker {
    var findings: Findings

    init(_ findings: Findings) {
        self.findings = findings
    }

    mutating func table(_ object: JSONObject, by schema: Schema, at path: Path = []) -> JSONObject {
        var members: [JSONObject.Member] = []
        for (key, rule) in schema.rules {
            let place = path + [.key(key)]
            let value = object[key]
            if let condition = rule.condition, !holds(condition, object, schema) {
                if value != nil { misplaced(place, condition, object, schema) }
                continue
            }
            if let value {
                if let good = self.value(value, by: rule, at: place) {
                    members.append(JSONObject.Member(key: key, value: good))
                }
            } else if let fallback = rule.fallback {
                members.append(JSONObject.Member(key: key, value: fallback))
            } else if rule.required {
                findings.add(path, "\(place.text) is missing; want \(rule.wanted(at: place))")
            } else if case .keys(let inner) = rule.contents, rule.kind == .table,
                rule.isImplied || inner.rules.allSatisfy({ !$0.rule.required })
            {
                // Absent, but its keys still have their defaults.
                let inside = table(JSONObject(), by: inner, at: place)
                members.append(JSONObject.Member(key: key, value: .object(inside)))
            }
        }
        for member in object.members where schema[member.key] == nil {
            if schema.isOpen {
                members.append(member)
            } else {
                unknown(member.key, schema, at: path)
            }
        }
        return JSONObject(members)
    }

    /// The value where it is right (for tables and arrays: what is right of it), otherwise nil.
    mutating func value(_ value: JSON, by rule: Rule, at path: Path) -> JSON? {
        guard rule.accepts(kindOf: value) else {
            findings.add(
                path,
                "\(path.text) is \(described(value)); want \(rule.wanted(at: path, insteadOf: value))"
            )
            return nil
        }
        switch value {
        case .object(let object): return .object(contents(object, rule.contents, at: path))
        case .array(let array):
            guard rule.allows(Double(array.count)) else {
                findings.add(path, "\(path.text) has \(array.count) entries; want \(rule.range)")
                return nil
            }
            return .array(contents(array, rule.contents, at: path))
        default: break
        }
        if let came = rule.objection(to: value) {
            findings.add(path, "\(path.text) is \(came); want \(rule.wanted)")
            return nil
        }
        return value
    }

    private mutating func contents(
        _ object: JSONObject, _ contents: Rule.Contents, at path: Path
    ) -> JSONObject {
        switch contents {
        case .free: return object
        case .keys(let schema): return table(object, by: schema, at: path)
        case .each(let rule):
            return JSONObject(
                object.members.compactMap { member in
                    value(member.value, by: rule, at: path + [.key(member.key)])
                        .map { JSONObject.Member(key: member.key, value: $0) }
                })
        }
    }

    private mutating func contents(
        _ array: [JSON], _ contents: Rule.Contents, at path: Path
    ) -> [JSON] {
        switch contents {
        case .free: return array
        case .keys(let schema):
            return array.enumerated().map { index, element in
                let place = path + [.index(index)]
                guard let object = element.objectValue else {
                    findings.add(place, "\(place.text) is \(described(element)); want a table")
                    return .object(JSONObject())
                }
                return .object(table(object, by: schema, at: place))
            }
        case .each(let rule):
            return array.enumerated().compactMap { index, element in
                value(element, by: rule, at: path + [.index(index)])
            }
        }
    }

    // MARK: Conditions and unknown keys

    private func holds(
        _ condition: Rule.Condition, _ object: JSONObject, _ schema: Schema
    ) -> Bool {
        guard let value = object[condition.key] ?? schema[condition.key]?.fallback else {
            return false
        }
        return condition.values.contains(value)
    }

    private mutating func misplaced(
        _ path: Path, _ condition: Rule.Condition, _ object: JSONObject, _ schema: Schema
    ) {
        let value = object[condition.key] ?? schema[condition.key]?.fallback
        // A wrong or missing value of the other key is told already; what hangs on it cannot be judged.
        guard let rule = schema[condition.key], let value, rule.objection(to: value) == nil else {
            return
        }
        findings.add(
            path,
            "\(path.text) does not go with \(condition.key) = \(literal(value)); want it only with \(alternatives(condition.values))"
        )
    }

    private mutating func unknown(_ key: String, _ schema: Schema, at path: Path) {
        findings.add(path + [.key(key)], Self.unknown(key, schema, at: path))
    }

    private static func unknown(_ key: String, _ schema: Schema, at path: Path) -> String {
        // The table's own place in an array is told by the line.
        var table = path
        if case .index? = table.last { table.removeLast() }
        let owner = table.isEmpty ? "" : "\(table.text): "
        let remedy =
            if let near = nearest(key, in: schema.keys) {
                "did you mean \(quoted(near))?"
            } else if schema.keys.isEmpty {
                "no keys belong here"
            } else {
                "known: \(schema.keys.joined(separator: ", "))"
            }
        return "\(owner)unknown key \(quoted(key)); \(remedy)"
    }
}
