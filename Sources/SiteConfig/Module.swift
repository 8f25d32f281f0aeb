import JSONLines
import SiteModel

/// An installed module as its manifest describes it.
struct Module {
    let plan: ModulePlan
    /// The module's own keys of `[link]`, `[[controller]]`, `[[controller.locker]]`, the board profile and `[[uplink]]`.
    let link: Schema
    let controller: Schema
    let locker: Schema
    let board: Schema
    let uplink: Schema
}

extension Module {
    /// Checks a manifest; nil with at least one problem in `findings` when it is of no use.
    static func read(
        _ document: Document, folder: String, name: String, into findings: inout Findings
    ) -> Module? {
        var checker = SchemaChecker(findings)
        let manifest = checker.table(document.root, by: CoreSchemas.manifest)
        var sections: [String: Schema] = [:]
        for section in ["link", "controller", "locker", "board", "uplink"] {
            let path: Path = [.key("options"), .key(section)]
            let options = manifest["options"]?[section]?.objectValue ?? JSONObject()
            sections[section] = checker.schema(options, at: path, depth: 0)
        }
        checker.checkConditions(sections)
        findings = checker.findings
        checkReserved(sections, into: &findings)
        if let said = manifest["name"]?.stringValue, said != name {
            findings.add(
                [.key("name")], "name is \(quoted(said)); want \(quoted(name)) like the folder")
        }
        guard findings.isEmpty, let kind = manifest["kind"]?.stringValue,
            let kind = ModulePlan.Kind(rawValue: kind),
            let executable = manifest["executable"]?.stringValue,
            let major = manifest["protocol"]?.intValue
        else { return nil }
        return Module(
            plan: ModulePlan(
                name: name, kind: kind, directory: folder, executable: executable,
                protocolMajor: major, summary: manifest["summary"]?.stringValue ?? "",
                maturity: manifest["maturity"]?.stringValue ?? "experimental",
                openLimit: .seconds(manifest["open_limit_s"]?.intValue ?? 5)),
            link: sections["link"] ?? Schema(), controller: sections["controller"] ?? Schema(),
            locker: sections["locker"] ?? Schema(), board: sections["board"] ?? Schema(),
            uplink: sections["uplink"] ?? Schema())
    }

    /// A module cannot take over a key that the core reads itself.
    private static func checkReserved(_ sections: [String: Schema], into findings: inout Findings) {
        let reserved = [
            "controller": CoreSchemas.controller.keys + ["locker"],
            "locker": CoreSchemas.locker.keys,
            "board": CoreSchemas.board.keys,
            "uplink": CoreSchemas.uplink.keys,
        ]
        for (section, keys) in reserved.sorted(by: { $0.key < $1.key }) {
            for key in sections[section]?.keys ?? [] where keys.contains(key) {
                let path: Path = [.key("options"), .key(section), .key(key)]
                findings.add(path, "\(path.text) is a key of the core; want another name")
            }
        }
    }
}

extension SchemaChecker {
    /// The tables below `[options.SECTION]` (or a `keys` table) as a schema.
    mutating func schema(_ options: JSONObject, at path: Path, depth: Int) -> Schema {
        Schema(
            rules: options.members.compactMap { member in
                rule(member.value, at: path + [.key(member.key)], depth: depth)
                    .map { (member.key, $0) }
            })
    }

    private mutating func rule(_ value: JSON, at path: Path, depth: Int) -> Rule? {
        guard let raw = value.objectValue else {
            findings.add(path, "\(path.text) is \(described(value)); want a table")
            return nil
        }
        guard depth < 4 else {
            findings.add(path, "\(path.text) nests keys deeper than 4")
            return nil
        }
        let option = table(raw, by: CoreSchemas.option, at: path)
        guard let kind = option["type"]?.stringValue.flatMap(Rule.Kind.init(rawValue:)) else {
            return nil
        }
        var rule = Rule(kind)
        rule.required = option["required"]?.boolValue ?? false
        rule.minimum = option["min"]?.doubleValue
        rule.maximum = option["max"]?.doubleValue
        rule.isUnique = option["unique"]?.boolValue ?? false
        rule.isEndpoint = option["endpoint"]?.boolValue ?? false
        contents(option, at: path, depth: depth, into: &rule)
        text(option, at: path, of: &rule)
        limits(option, at: path, of: &rule)
        if let when = option["when"]?.objectValue {
            let wanted = when.members.first
            if let wanted, when.members.count == 1 {
                rule.condition = Rule.Condition(
                    key: wanted.key, values: wanted.value.arrayValue ?? [wanted.value])
            } else {
                findings.add(path + [.key("when")], "\(path.text).when wants exactly one key")
            }
        }
        return rule
    }

    private mutating func contents(
        _ option: JSONObject, at path: Path, depth: Int, into rule: inout Rule
    ) {
        let keys = option["keys"]?.objectValue
        let items = option["items"]
        guard keys != nil || items != nil else { return }
        guard rule.kind == .table || rule.kind == .array, keys == nil || items == nil else {
            findings.add(
                path, "\(path.text) has keys or items; want one of them, for a table or an array")
            return
        }
        if let keys {
            rule.contents = .keys(schema(keys, at: path + [.key("keys")], depth: depth + 1))
        } else if let items,
            let each = self.rule(items, at: path + [.key("items")], depth: depth + 1)
        {
            rule.contents = .each(each)
        }
    }

    /// What is demanded of a string.
    private mutating func text(_ option: JSONObject, at path: Path, of rule: inout Rule) {
        for key in ["min_length", "max_length", "form"]
        where option[key] != nil && rule.kind != .string {
            findings.add(path + [.key(key)], "\(path.text).\(key) is for strings only")
        }
        rule.minimumLength = option["min_length"]?.intValue
        rule.maximumLength = option["max_length"]?.intValue
        rule.form = option["form"]?.stringValue.flatMap(Rule.Form.init(rawValue:))
        if let low = rule.minimumLength, let high = rule.maximumLength, low > high {
            findings.add(path + [.key("min_length")], "\(path.text).min_length is above max_length")
        }
    }

    private mutating func limits(_ option: JSONObject, at path: Path, of rule: inout Rule) {
        if let low = rule.minimum, let high = rule.maximum, low > high {
            findings.add(path + [.key("min")], "\(path.text).min is above max")
        }
        for choice in option["one_of"]?.arrayValue ?? [] where !rule.accepts(kindOf: choice) {
            findings.add(
                path + [.key("one_of")],
                "\(path.text).one_of has \(described(choice)); want \(rule.wanted)")
        }
        rule.oneOf = option["one_of"]?.arrayValue ?? []
        if let fallback = option["default"] {
            rule.fallback = value(fallback, by: rule, at: path + [.key("default")])
        }
    }

    /// `when` must name another key of the same table.
    mutating func checkConditions(_ sections: [String: Schema]) {
        for (section, schema) in sections.sorted(by: { $0.key < $1.key }) {
            for (key, rule) in schema.rules {
                guard let condition = rule.condition, schema[condition.key] == nil else { continue }
                let path: Path = [.key("options"), .key(section), .key(key), .key("when")]
                let near = nearest(condition.key, in: schema.keys)
                findings.add(
                    path,
                    "\(path.text) names \(quoted(condition.key)), which is no key of options.\(section)"
                        + (near.map { "; did you mean \(quoted($0))?" } ?? ""))
            }
        }
    }
}
