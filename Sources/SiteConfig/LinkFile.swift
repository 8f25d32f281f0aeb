import JSONLines
import SiteModel

/// One file of `links.d`, checked by itself.
struct LinkFile {
    var plan: LinkPlan
    var findings: Findings
    /// Places of the plan's controllers in the file.
    var places: [Int] = []
    /// For each of the plan's controllers: place in the file of the `[[controller.locker]]` table of a number.
    var lockerPlaces: [[Int: Int]] = []
    /// What tells this link's endpoint from others, by key; empty where the driver has no such keys.
    var endpoint = JSONObject()

    var file: String { findings.file }

    /// Lockers of the controllers read so far.
    var lockerCount: Int { plan.controllers.reduce(0) { $0 + $1.lockers.count } }

    init(name: String) {
        findings = Findings(file: "links.d/\(name).toml")
        plan = LinkPlan(name: name, driver: "")
    }

    /// Where a controller of the plan stands in the file.
    func path(_ controller: Int) -> Path { [.key("controller"), .index(places[controller])] }
}

/// Reads link files one after the other; modules, profiles and the room for lockers are shared.
struct LinkReader {
    let directory: String
    /// Names of supply groups; nil when `lockerd.toml` could not be read, and then no name can be called unknown.
    let supplyNames: Set<String>?
    /// What `lockerd.toml` says of every coil; the defaults when it could not be read.
    let coil: CoilPlan
    /// Types of locker that never serve.
    let closedTypes: Set<String>
    var catalog: ModuleCatalog
    /// Lockers that the site may still have.
    var room = ConfigLimits.lockersPerSite

    mutating func read(_ name: String) -> LinkFile {
        var link = LinkFile(name: name)
        if !Rule.Form.name.accepts(name) {
            link.findings.add([], "the file's name names the link; want \(Rule.Form.name.wanted)")
        }
        switch Document.read("\(directory)/links.d/\(name).toml", as: link.file) {
        case .failure(let failure):
            link.findings.add(failure.problem)
        case .success(let document):
            var findings = Findings(file: link.file, lines: document.lines)
            for problem in link.findings.sorted { findings.add(problem) }
            link.findings = findings
            fill(&link, from: document.root)
        }
        return link
    }

    private mutating func fill(_ link: inout LinkFile, from root: JSONObject) {
        let path: Path = [.key("driver")]
        let module = root["driver"]?.stringValue.flatMap { name in
            Rule.Form.name.accepts(name)
                ? link.findings.module(name, .driver, at: path, key: "driver", &catalog) : nil
        }
        var checker = SchemaChecker(link.findings)
        let values = checker.table(root, by: CoreSchemas.link(module))
        link.findings = checker.findings
        link.plan.driver = values["driver"]?.stringValue ?? ""
        link.plan.module = module?.plan
        link.plan.options = values["link"]?.objectValue ?? JSONObject()
        if let module {
            let keys = module.link.rules.filter(\.rule.isEndpoint).map(\.key)
            link.endpoint = JSONObject(link.plan.options.members.filter { keys.contains($0.key) })
        }
        let controllers = values["controller"]?.arrayValue ?? []
        guard controllers.count <= ConfigLimits.controllersPerLink else {
            link.findings.add(
                [.key("controller"), .index(ConfigLimits.controllersPerLink)],
                "\(controllers.count) controllers; want at most \(ConfigLimits.controllersPerLink)")
            return
        }
        let raw = root["controller"]?.arrayValue ?? []
        for (place, values) in controllers.enumerated() {
            var reader = ControllerReader(
                values: values.objectValue ?? JSONObject(),
                raw: raw[place].objectValue ?? JSONObject(), place: place, module: module)
            reader.read(into: &link, &self)
        }
        if let module { checkUnique(module, &link) }
    }

    /// Keys that two controllers of one link cannot share, such as the unit on a Modbus line.
    private func checkUnique(_ module: Module, _ link: inout LinkFile) {
        for (key, _) in module.controller.rules.filter(\.rule.isUnique) {
            var seen: [(value: JSON, controller: Int)] = []
            for (index, controller) in link.plan.controllers.enumerated() {
                guard let value = controller.options[key] else { continue }
                if let first = seen.first(where: { $0.value == value })?.controller {
                    let other = link.plan.controllers[first].id
                    let line = link.findings.lines.line(of: link.path(first) + [.key(key)])
                    link.findings.add(
                        link.path(index) + [.key(key)],
                        "controller.\(key) is \(literal(value)); controller \(quoted(other)) (line \(line)) has it already"
                    )
                } else {
                    seen.append((value, index))
                }
            }
        }
    }
}
