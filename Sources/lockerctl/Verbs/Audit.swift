import ArgumentParser
import AuditChain
import ControlClient
import JSONLines

struct AuditVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show who did what, or check that nobody has changed that record.",
        discussion: """
            With --json each entry is a line exactly as lockerd keeps it: an export that --verify --file can check.
            """)

    /// Entries asked for at once.
    private static let portion = 1000

    @OptionGroup var global: GlobalOptions

    @Option(help: ArgumentHelp("Only entries after this number.", valueName: "number"))
    var since: Int?

    @Option(help: ArgumentHelp("At most this many entries; otherwise all.", valueName: "count"))
    var limit: Int?

    @Option(
        help: "Only entries about this locker.", completion: Completions.lockers)
    var locker: String?

    @Flag(help: "Check the chain of all entries instead of showing them.")
    var verify = false

    @Option(
        help: ArgumentHelp(
            "With --verify: check this export; no daemon is asked.", valueName: "path"),
        completion: .file())
    var file: String?

    func validate() throws {
        if let since, since < 0 { throw ValidationError("--since is \(since); want 0 or more") }
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit); want 1 or more") }
        if verify, since != nil || limit != nil || locker != nil {
            throw ValidationError(
                "--verify checks all entries; it takes no --since, --limit or --locker")
        }
        if file != nil, !verify { throw ValidationError("--file belongs to --verify") }
    }

    func execute() async throws {
        if let file { return try report(try AuditFile.check(file), isWhole: false) }
        let session = try await Session.start(global)
        if verify { return try report(try await check(session), isWhole: true) }
        var left = limit ?? Int.max
        try await pages(session, { min(left, Self.portion) }) { page in
            left -= page.entries.count
            show(page.entries)
            return left > 0 && !Output.isClosed
        }
    }

    /// Reads page after page until `take` has had enough or the newest entry has come.
    @MainActor
    private func pages(
        _ session: Session, _ limit: () -> Int, _ take: (AuditPage) -> Bool
    ) async throws(Failure) {
        var query = AuditQuery(since: since, locker: locker.map(LockerSelector.init))
        while true {
            query.limit = limit()
            let page = try await session.attempt { [query] client throws(ControlError) in
                try await client.audit(query)
            }
            // A daemon that gives the same entries again would be asked for ever.
            if let last = page.entries.last, last.number <= query.since ?? 0 {
                throw session.explain(
                    .malformed(
                        "entry \(last.number) was not asked for, only those after \(query.since ?? 0)"
                    ))
            }
            guard take(page), let last = page.entries.last, last.number < page.headNumber else {
                return
            }
            query.since = last.number
        }
    }

    @MainActor
    private func check(_ session: Session) async throws(Failure) -> AuditCheck {
        var check = AuditCheck()
        var head = (number: 0, hash: AuditChain.genesis)
        try await pages(session, { Self.portion }) { page in
            check.expect(first: page.firstNumber, previous: page.firstPrevious)
            for entry in page.entries { check.add(entry) }
            head = (page.headNumber, page.headHash)
            return check.problem == nil
        }
        check.end(head: head)
        return check
    }

    @MainActor
    private func show(_ entries: [AuditEntry]) {
        if global.json {
            return Output.text(entries.map { $0.json + "\n" }.joined())
        }
        for line in AuditTable.table(entries).lines(coloured: Terminal.hasColour) {
            Output.text(line + "\n")
        }
    }

    /// Says what came of a check; `isWhole` where the journal itself said where it begins and ends.
    @MainActor
    private func report(_ check: AuditCheck, isWhole: Bool) throws(Failure) {
        if let problem = check.problem {
            if global.json {
                Output.line(JSON.object(["intact": false, "problem": .string(problem)]).text)
            }
            throw Failure(.failed, "the audit is not intact: \(problem)")
        }
        let (number, hash) = check.last ?? (0, AuditChain.genesis)
        if global.json {
            let head: JSON = ["n": .int(Int64(number)), "hash": .string(hash)]
            return Output.line(
                JSON.object(["intact": true, "entries": .int(Int64(check.count)), "head": head])
                    .text)
        }
        let count = check.count == 1 ? "1 entry" : "\(check.count) entries"
        Output.line("\(count), chain intact, head \(number) \(hash)")
        if let begin = check.begin, begin > 1 {
            Output.line(
                "it begins with entry \(begin); "
                    + (isWhole
                        ? "earlier ones are not kept any more"
                        : "whether earlier ones belong to it cannot be told from the file"))
        }
    }
}
