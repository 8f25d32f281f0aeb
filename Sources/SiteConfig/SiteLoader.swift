import Glibc
package import SiteModel

/// Reads a config folder: `lockerd.toml`, `links.d/*.toml`, `boards/*.toml`, and the manifests of the modules they name.
///
/// Reading blocks (files, the name service for users and groups); keep it off the threads that serve.
package struct SiteLoader: Sendable {
    private let directory: String
    private let moduleDirectories: [String]
    private let accounts: Accounts
    private let vetting: @Sendable (ModulePlan) -> String?

    /// - Parameters:
    ///   - directory: the folder that holds `lockerd.toml`.
    ///   - moduleDirectories: where modules are looked for unless `lockerd.toml` has `module_dirs`; the first match wins.
    ///   - vetting: why a module that the files name would be refused when it is started; nil where it would not. For a check
    ///     beforehand: a daemon asks at every start of a module, so that it finds one that was mended.
    package init(
        directory: String, moduleDirectories: [String], accounts: Accounts = .system,
        vetting: @escaping @Sendable (ModulePlan) -> String? = { _ in nil }
    ) {
        self.directory = Self.absolute(directory)
        self.moduleDirectories = moduleDirectories.map(Self.absolute)
        self.accounts = accounts
        self.vetting = vetting
    }

    /// Reads and checks everything. The same files give the same result, in the same order.
    ///
    /// Where two files claim the same id or endpoint, a link that is among `running` and unchanged keeps it.
    package func load(running: [LinkPlan] = []) -> LoadResult {
        var (site, uplinks) = SiteFile.read(
            directory: directory, moduleDirectories: moduleDirectories, accounts: accounts)
        let catalog = ModuleCatalog(
            directories: site.plan?.moduleDirectories ?? moduleDirectories, directory: directory,
            vetting: vetting)
        var reader = LinkReader(
            directory: directory, supplyNames: site.supplyNames, coil: site.coil,
            closedTypes: site.closedTypes, catalog: catalog)
        site.add(uplinks, &reader.catalog, directory: directory)

        var (names, folderProblem) = linkNames()
        // Where even lockerd.toml is not there, nobody needs to hear what else is missing.
        if site.plan == nil, folderProblem?.isAdvice == true { folderProblem = nil }
        var links = names.map { reader.read($0) }
        SiteChecks.run(&links, running: running)
        if folderProblem?.isAdvice != false { SiteChecks.checkRules(&site, links) }
        return result(site, links, folderProblem)
    }

    private func result(
        _ site: SiteFile, _ links: [LinkFile], _ folderProblem: Problem?
    ) -> LoadResult {
        var problems = site.findings.sorted
        if let folderProblem { problems.append(folderProblem) }
        var plan = problems.allSatisfy(\.isAdvice) ? site.plan : nil
        var known = Set(problems)
        for link in links {
            let found = link.findings.sorted
            var link = link.plan
            link.problems = found.map(\.description)
            plan?.links.append(link)
            problems += found.filter { known.insert($0).inserted }
        }
        return LoadResult(plan: plan, problems: problems)
    }

    /// Names of the link files without `.toml`, sorted, and what is wrong with the folder as a whole.
    ///
    /// A folder that is not there holds no links. A site without any can be started, but hardly ever is one meant.
    private func linkNames() -> (names: [String], problem: Problem?) {
        func problem(_ message: String, isAdvice: Bool = false) -> ([String], Problem?) {
            ([], Problem(file: "links.d", line: 1, message: message, isAdvice: isAdvice))
        }
        let entries: [String]
        do {
            entries = try listFolder("\(directory)/links.d").filter { !$0.hasPrefix(".") }
        } catch {
            guard error.isMissing else { return problem("cannot be read: \(error.reason)") }
            entries = []
        }
        let names = entries.filter { $0.hasSuffix(".toml") }.map { String($0.dropLast(5)) }
        guard names.count <= ConfigLimits.links else {
            return problem("\(names.count) link files; want at most \(ConfigLimits.links)")
        }
        guard names.isEmpty else { return (names, nil) }
        let ignored = entries.prefix(5).joined(separator: ", ") + (entries.count > 5 ? ", …" : "")
        return problem(
            "no link file, so the site has no lockers; want NAME.toml for each link"
                + (ignored.isEmpty ? "" : "; ignored: \(ignored)"), isAdvice: true)
    }

    /// Modules are started in their own folder, so a path must not depend on the current one.
    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let current = getcwd(nil, 0) else { return path }
        defer { free(current) }
        return resolve(path, in: String(cString: current))
    }
}
