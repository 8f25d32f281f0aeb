import ControlClient
import Glibc

/// `status --watch`: shows the status again whenever something happens, and once a second for the ages.
@MainActor
struct Watch {
    /// Pause between two looks, so that a burst of events costs a few looks and not one each.
    private static let pause = Duration.milliseconds(100)

    let session: Session
    let scope: StatusScope

    private var isScreen: Bool { Output.isTerminal && !session.isJSON }

    func run() async throws {
        let isScreen = isScreen
        let signals = Signals { _ in
            if isScreen { Output.end(with: Terminal.leaveAlternate) }
            exit(ExitStatus.success.rawValue)
        }
        defer { withExtendedLifetime(signals) {} }
        if isScreen { Output.text(Terminal.showAlternate) }
        defer { if isScreen { Output.text(Terminal.leaveAlternate) } }

        let ticks = await ticks()
        var last: SiteStatus?
        for await _ in ticks {
            let status = try await session.attempt { client throws(ControlError) in
                try await client.status(scope)
            }
            show(status, after: last)
            last = status
            if Output.isClosed { return }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// One tick at once, one for every event and one a second.
    private func ticks() async -> AsyncStream<Void> {
        let (ticks, tick) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        tick.yield()
        // Without events (an older daemon, no right to them) the clock alone must do.
        let events = try? await session.client.events()
        let listener = Task {
            if let events { for try await _ in events { tick.yield() } }
        }
        let clock = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                tick.yield()
            }
        }
        tick.onTermination = { _ in
            listener.cancel()
            clock.cancel()
        }
        return ticks
    }

    private func show(_ status: SiteStatus, after last: SiteStatus?) {
        if isScreen { return draw(status) }
        if session.isJSON {
            let isNews = last.map { !Changes(from: $0, to: status).lines.isEmpty } ?? true
            if isNews { Output.line(status.json) }
            return
        }
        guard let last else {
            return Output.text(StatusView(status: status).lines.map { $0 + "\n" }.joined())
        }
        for line in Changes(from: last, to: status).lines { Output.line("\(status.at)  \(line)") }
    }

    private func draw(_ status: SiteStatus) {
        let size = Terminal.size
        let view = StatusView(
            status: status, isColoured: Terminal.hasColour, width: size.columns)
        var lines = view.lines
        let room = size.rows - 1
        if lines.count > room {
            let left = lines.count - room + 1
            lines = Array(lines.prefix(max(room - 1, 0)))
            lines.append("… \(left) more lines; make the window larger or name some lockers")
        }
        Output.text(Terminal.clear + lines.joined(separator: "\n"))
    }
}

/// What differs between two looks, ages left aside.
struct Changes {
    let lines: [String]

    init(from old: SiteStatus, to new: SiteStatus) {
        var lines: [String] = []
        if old.bootID != new.bootID { lines.append("lockerd was started anew") }
        if old.health != new.health || old.causes != new.causes {
            let causes = new.causes.map(\.message).joined(separator: "; ")
            lines.append("health \(new.health)" + (causes.isEmpty ? "" : ": \(causes)"))
        }
        let controllers = Dictionary(old.controllers.map { ($0.id, $0) }) { $1 }
        for controller in new.controllers {
            let before = controllers[controller.id]
            guard before?.state != controller.state || before?.reason != controller.reason else {
                continue
            }
            let reason = controller.reason.map { ": \($0)" } ?? ""
            lines.append("controller \(controller.id) \(controller.state)\(reason)")
        }
        let lockers = Dictionary(old.lockers.map { ($0.id, $0) }) { $1 }
        for locker in new.lockers {
            lines += Self.changes(from: lockers[locker.id], to: locker)
        }
        self.lines = lines
    }

    private static func changes(from old: LockerStatus?, to new: LockerStatus) -> [String] {
        var lines: [String] = []
        let door = StatusView.door(new).text
        if old.map({ StatusView.door($0).text }) != door {
            lines.append("\(new.address) door \(door)")
        }
        if let last = new.lastOpen, old?.lastOpen != last {
            lines.append("\(new.address) \(last.operation) \(last.outcome ?? "failed")")
        }
        if old?.suspicion != new.suspicion, old != nil || new.suspicion != nil {
            let message =
                new.suspicion.map { "suspected: \($0.message)" } ?? "not suspected any more"
            lines.append("\(new.address) sensor \(message)")
        }
        let service = StatusView.service(new).text
        if old.map({ StatusView.service($0).text }) != service {
            lines.append("\(new.address) service \(service)")
        }
        return lines
    }
}
