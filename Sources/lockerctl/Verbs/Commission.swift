import ArgumentParser
import ControlClient
import Glibc
import JSONLines
import SiteConfig
import SiteModel

struct CommissionVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "commission",
        abstract: "Fire each lock of a controller in turn, and learn how it is wired.",
        discussion: """
            Sees which sensor moves and how long it takes, finds crossed wires, inverted and missing sensors and dead locks, asks what
            stands on the doors, shows what the link file should say instead, and writes it when told to, with a record beside it.
            Every locker is opened: they should be empty, and somebody should stand before them.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The controller's id.", completion: Completions.controllers)
    var controller: String

    @Flag(help: "Ask nothing, and write what was found; labels stay as they are.")
    var yes = false

    @Flag(help: "Write nothing.")
    var dryRun = false

    @Option(help: ArgumentHelp("The config folder of lockerd.", valueName: "dir"))
    var config = "/etc/lockerd"

    @Option(help: ArgumentHelp("Only these lockers, as 1-4.", valueName: "range"))
    var lockers: String?

    @Option(
        help: ArgumentHelp("How long to wait for each door to be closed again.", valueName: "s"))
    var closeWithin = 60

    func validate() throws {
        guard 0...3600 ~= closeWithin else { throw ValidationError("--close-within: want 0-3600") }
        _ = try range()
    }

    func execute() async throws {
        let canAsk = isatty(STDIN_FILENO) == 1 && Output.isErrorTerminal
        guard yes || canAsk else {
            throw Failure(
                .usage,
                "commission wants --yes where there is no terminal to ask on; nothing was fired")
        }
        var (link, plan) = try find()
        let chosen = try chosen(of: plan)
        var editor = try edit(link.name)
        let session = try await Session.start(global)
        guard
            yes
                || ask(
                    "Fire \(Words.count(chosen.count, "lock")) of \(controller), one after the other? The lockers are empty, the doors closed, and you see them"
                )
        else { throw Failure(.failed, "nothing was fired") }
        // What the daemon does has to be what the file says, or the lessons would be drawn for another wall.
        try await reload(session)
        (link, plan) = try find()
        editor = try edit(link.name)
        var (observations, labels) = try await observe(chosen, of: plan, on: link, session)
        let trial = LevelTrial(editor)
        do {
            if let turned = try await tryOtherLevel(observations, link, plan, trial, session) {
                (link, plan) = try find()
                (observations, labels) = turned
                editor = trial.editor
            }
            let lessons = Lessons(
                observations, labels: labels, controller: plan, driver: link.driver)
            let (remarks, isWritten) = try await conclude(
                lessons, observations, labels, link, &editor, trial, session)
            try judge(observations, remarks, isWritten: isWritten)
        } catch {
            try await giveUp(trial, session)
            throw error
        }
    }

    /// What was tried does not stay in the file when something goes wrong on the way.
    @MainActor
    private func giveUp(_ trial: LevelTrial, _ session: Session) async throws(Failure) {
        guard trial.isInTheFile else { return }
        try trial.undo()
        _ = await failureOfReload(session)
    }

    private func chosen(of plan: ControllerPlan) throws(Failure) -> [LockerPlan] {
        let wanted = try range()
        let chosen = plan.lockers.filter { wanted?.contains($0.number) ?? true }
        guard !chosen.isEmpty else { throw Failure(.usage, "\(controller) has no such lockers") }
        return chosen
    }

    typealias Findings = (observations: [Observation], labels: [Int: String])

    @MainActor
    private func observe(
        _ chosen: [LockerPlan], of plan: ControllerPlan, on link: LinkPlan, _ session: Session
    ) async throws(Failure) -> Findings {
        let run = CommissionRun(
            session: session, controller: plan, neighbours: Set(link.controllers.map(\.id)),
            isAlone: yes, closeWithin: .seconds(closeWithin), ask: ask)
        var observations: [Observation] = []
        var labels: [Int: String] = [:]
        for locker in chosen {
            var one = try await run.observe(locker)
            one.cameBack = try await run.waitUntilClosed(one)
            observations.append(one)
            if !global.json { Output.line("\(one.address)  \(one.sentence)") }
            if !yes, one.verdict.isGood || one.verdict.isMendable, let label = label(locker) {
                labels[locker.number] = label
            }
            if !one.cameBack, locker != chosen.last {
                Output.error(
                    "lockerctl: the door that opened stays open; what it says is not looked at any more"
                )
            }
        }
        return (observations, labels)
    }

    /// Where nothing at all has moved and nobody has seen yet which level fires, it may be the other one.
    ///
    /// Lines are driven during a pulse only as long as that is so, which makes the try as harmless as a pulse.
    @MainActor
    private func tryOtherLevel(
        _ observations: [Observation], _ link: LinkPlan, _ plan: ControllerPlan,
        _ trial: LevelTrial, _ session: Session
    ) async throws(Failure) -> Findings? {
        // A door that stands open can be seen to move by nobody but him who closes it.
        let isStill = observations.allSatisfy {
            if case .still = $0.verdict { $0.before != .open } else { false }
        }
        guard isStill, plan.options["polarity_known"]?.boolValue == false,
            let level = plan.options["fires_at"]?.stringValue
        else { return nil }
        let other = level == "high" ? "low" : "high"
        guard !dryRun, yes || ask("Nothing moved. Try the other level, fires_at = \"\(other)\"?")
        else { return nil }
        try trial.begin(other, of: plan)
        try await reload(session)
        if !global.json { Output.line("nothing moved; once more with fires_at = \"\(other)\"") }
        let found = try await observe(
            try chosen(of: plan), of: find().controller, on: link, session)
        if found.observations.contains(where: \.provesItsLock) {
            return found
        }
        try trial.undo()
        try await reload(session)
        return nil
    }

    /// Has the file read again, and waits until the controller serves.
    @MainActor
    private func reload(_ session: Session) async throws(Failure) {
        _ = try await session.attempt { client throws(ControlError) in try await client.reload() }
        let end = ContinuousClock.now + Self.patience
        while ContinuousClock.now < end {
            let status = try await session.attempt { client throws(ControlError) in
                try await client.status(StatusScope(controller: controller))
            }
            if status.controllers.first?.state == "ready" { return }
            try? await Task.sleep(for: .milliseconds(100))
        }
        throw Failure(.failed, "\(controller) is not ready \(Self.patience) after the reload")
    }

    /// How long a controller may take to serve after its file was changed: its module is stopped and another one started, each of
    /// which the daemon grants ten seconds and more.
    private static let patience: Duration = .seconds(30)

    // MARK: Before

    /// The controller as the files describe it.
    private func find() throws(Failure) -> (link: LinkPlan, controller: ControllerPlan) {
        let loaded = SiteLoader(
            directory: config, moduleDirectories: ModuleFolders.besideProgram
        ).load()
        for link in loaded.plan?.links ?? [] {
            guard let found = link.controllers.first(where: { $0.id == controller }) else {
                continue
            }
            guard link.problems.isEmpty else {
                throw Failure(.failed, "link \(link.name) is not right: \(link.problems[0])")
            }
            return (link, found)
        }
        let known = (loaded.plan?.links ?? []).flatMap { $0.controllers.map(\.id) }
        throw Failure(
            .failed,
            "no controller \(controller) below \(config); there are \(known.isEmpty ? "none" : known.joined(separator: ", "))"
        )
    }

    private func edit(_ link: String) throws(Failure) -> LinkFileEditor {
        do throws(LinkFileEditor.Refusal) {
            return try LinkFileEditor(path: "\(config)/links.d/\(link).toml")
        } catch {
            throw Failure(.failed, error.description)
        }
    }

    private func range() throws(Failure) -> ClosedRange<Int>? {
        guard let lockers else { return nil }
        let ends = lockers.split(separator: "-").map { Int($0) }
        guard 1...2 ~= ends.count, let first = ends[0], let last = ends.last ?? nil, first >= 1,
            first <= last
        else { throw Failure(.usage, "--lockers \(lockers): want a range such as 1-4") }
        return first...last
    }

    // MARK: After

    @MainActor
    private func conclude(
        _ lessons: Lessons, _ observations: [Observation], _ labels: [Int: String],
        _ link: LinkPlan, _ editor: inout LinkFileEditor, _ trial: LevelTrial, _ session: Session
    ) async throws(Failure) -> (remarks: [String], isWritten: Bool) {
        var remarks = lessons.remarks
        let before = editor
        var changes = lessons.changes
        for change in lessons.changes {
            do throws(LinkFileEditor.Refusal) {
                if let value = change.value {
                    try editor.set(change.key, value, of: controller, locker: change.locker)
                } else if let locker = change.locker {
                    try editor.remove(change.key, of: controller, locker: locker)
                }
            } catch {
                // Half of a change that belongs together is worse than none.
                remarks.append("\(error.description); nothing of what was learnt is written")
                editor = before
                changes = []
                break
            }
        }
        if yes,
            observations.contains(where: { if case .crossed = $0.verdict { true } else { false } })
        {
            remarks.append(
                "nobody saw which doors opened: where it was the locks that are crossed and not their sensors, another door than before goes by each number; compare with what stands on the doors"
            )
        }
        let record = CommissionRecord(
            controller: controller, link: link.name, driver: link.driver,
            observations: observations, labels: labels, changes: changes, remarks: remarks)
        if global.json { Output.line(JSON.object(record.json).text) }
        for remark in remarks { Output.error("lockerctl: \(remark)") }
        let diff = LineDiff(from: editor.original, to: editor.text)
        if !diff.isEmpty, !global.json {
            Output.line("\(editor.path):")
            diff.lines.forEach(Output.line)
        }
        let isWanted = !dryRun && (yes || ask("Write this and the record?"))
        if isWanted {
            try await write(record, diff.isEmpty ? nil : editor, trial, session)
        } else if trial.isInTheFile {
            // What was tried on the way is not to stay either.
            try trial.undo()
            try await reload(session)
        }
        return (remarks, isWanted)
    }

    @MainActor
    private func write(
        _ record: CommissionRecord, _ draft: LinkFileEditor?, _ trial: LevelTrial,
        _ session: Session
    ) async throws(Failure) {
        if var editor = draft {
            do throws(LinkFileEditor.Refusal) {
                try editor.write()
            } catch {
                throw Failure(.failed, error.description)
            }
            trial.end()
            if let failure = await failureOfReload(session) {
                // A wall that works in part is better than one that does not.
                try restore(&editor)
                _ = await failureOfReload(session)
                throw Failure(
                    .failed, "\(failure); \(editor.path) says again what it said")
            }
            if !global.json { Output.line("lockerd has read its configuration again") }
        }
        let path = try record.write(below: config, part: lockers)
        if !global.json { Output.line("recorded in \(path)") }
    }

    @MainActor
    private func failureOfReload(_ session: Session) async -> String? {
        do throws(Failure) {
            try await reload(session)
            return nil
        } catch {
            return error.message ?? "the reload failed"
        }
    }

    private func restore(_ editor: inout LinkFileEditor) throws(Failure) {
        do throws(LinkFileEditor.Refusal) {
            try editor.restore()
        } catch {
            throw Failure(.failed, error.description)
        }
    }

    private func judge(
        _ observations: [Observation], _ remarks: [String], isWritten: Bool
    ) throws(Failure) {
        let bad = observations.filter { !$0.verdict.isGood && !$0.verdict.isMendable }
        let mended = observations.filter(\.verdict.isMendable)
        if bad.isEmpty, remarks.isEmpty {
            guard !mended.isEmpty else { return }
            guard isWritten else {
                throw Failure(
                    .failed,
                    "nothing was written, and \(mended.map(\.address).joined(separator: ", ")) stay as they are"
                )
            }
            Output.error(
                "lockerctl: \(Words.count(mended.count, "sensor")) told otherwise from now on; run it once more to see that it is right"
            )
            return
        }
        throw Failure(
            .failed,
            bad.isEmpty
                ? "not everything can be put right in the file"
                : "somebody has to look at \(bad.map(\.address).joined(separator: ", "))")
    }

    private func label(_ locker: LockerPlan) -> String? {
        Output.errorText(
            "What stands on the door that opened for \(controller)/\(locker.number)? [\(locker.name)] "
        )
        guard let answer = readLine(strippingNewline: true), !answer.isEmpty,
            answer != locker.name
        else { return nil }
        return answer
    }

    private func ask(_ question: String) -> Bool {
        Output.errorText("\(question) [y/N] ")
        let answer = readLine(strippingNewline: true)?.lowercased()
        return answer == "y" || answer == "yes"
    }
}
