import BusKit
import Glibc
package import LockerKit

/// Looks for boards on a line, with functions that only read.
///
/// Every setting of the line and every unit is asked for a coil and, where that stays unanswered, for a holding register. Whoever
/// answers anything, be it a refusal, is there.
package actor Scanner {
    package enum Event: Sendable {
        case progress(done: Int, total: Int, setting: ScanRequest.Setting, unit: Int)
        case found(Found)
        /// Something that the person at the other end has to know.
        case remark(String)
    }

    /// A unit that answers.
    package struct Found: Sendable {
        package let unit: Int
        package let setting: ScanRequest.Setting
        /// Several boards seem to answer at once, all with this unit.
        package let isShared: Bool
        package let matches: [Match]
    }

    private nonisolated let queue = DeviceQueue(label: "scan")
    private let request: ScanRequest
    private let tell: @Sendable (Event) -> Void
    private var port: ModbusPort?
    private var gap: Duration = .zero
    /// What question and answer take on the line.
    private var travel: Duration = .zero
    /// Bytes came that nobody had asked for any more: somebody who was asked before is there, and slow.
    private var isLate = false
    private var lookBacks = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        queue.asUnownedSerialExecutor()
    }

    package init(_ request: ScanRequest, tell: @escaping @Sendable (Event) -> Void) {
        self.request = request
        self.tell = tell
    }

    /// Scans and returns what was found; throws where the port cannot be opened.
    package func run() async throws(LockerError) -> [Found] {
        var all: [Found] = []
        let total = request.settings.count * request.units.count
        for (index, setting) in request.settings.enumerated() {
            try open(setting)
            defer { close() }
            var found: [Found] = []
            (isLate, lookBacks) = (false, 0)
            for unit in request.units {
                let done = index * request.units.count + unit - request.units.lowerBound
                tell(.progress(done: done, total: total, setting: setting, unit: unit))
                let new = try await look(at: unit, setting)
                let slow = await slowUnits(near: unit, setting, found + [new].compactMap(\.self))
                for one in slow + [new].compactMap(\.self) {
                    found.append(one)
                    tell(.found(one))
                }
                if await answersEveryUnit(found) { break }
            }
            all += found
            if !found.isEmpty, !request.isThorough { break }
        }
        return all
    }

    // MARK: The port

    private func open(_ setting: ScanRequest.Setting) throws(LockerError) {
        let transport: LinkSettings.Transport
        switch request.transport {
        case .serial(let serial):
            transport = .serial(ScanRequest.serial(serial.device, setting))
            // 3.5 characters and a millisecond, as the driver keeps it.
            gap = .milliseconds(setting.baud > 19_200 ? 3 : 38_500 / setting.baud + 2)
            // A question of 8 characters and an answer of 7, and the silence that ends it.
            travel = .milliseconds(20 * 11_000 / setting.baud)
        case .tcp:
            transport = request.transport
            travel = .zero
        }
        do throws(PortFailure) {
            var port = try ModbusPort(transport)
            try port.open(within: .seconds(3), deliveringFor: request.patience)
            self.port = consume port
        } catch {
            let hint =
                if error.isPermission {
                    "; want the port's group, usually dialout"
                } else if error.isTaken {
                    "; stop lockerd, or take the link out of its configuration"
                } else {
                    ""
                }
            throw LockerError(.linkDown, "\(endpoint) cannot be opened: \(error.words)\(hint)")
        }
    }

    private func close() {
        port?.close()
        port = nil
    }

    private var isNetwork: Bool { if case .tcp = request.transport { true } else { false } }

    private var endpoint: String {
        switch request.transport {
        case .serial(let serial): serial.device
        case .tcp(let host, let port): "\(host):\(port)"
        }
    }

    // MARK: One unit

    private static let probes = [
        ReadRequest(function: .coils, address: 0, count: 1),
        ReadRequest(function: .holdingRegisters, address: 0, count: 1),
    ]
    /// For questions to a unit that has answered before: boards have been seen to take 600 ms.
    private static let calmly: Duration = .milliseconds(600)
    /// How often a unit is asked again to see whether it is one board.
    private static let repeats = 6
    /// A unit that has been silent so often is not there.
    private static let silences = 3
    /// How often a round looks back for late answers: on a line with noise there is something at every question.
    private static let mostLookBacks = 16

    private func look(at unit: Int, _ setting: ScanRequest.Setting) async throws(LockerError)
        -> Found?
    {
        for probe in Self.probes {
            switch await ask(unit, probe, within: request.patience + travel) {
            case .silent: continue
            case .lost(let cause): throw LockerError(.linkDown, "\(endpoint) was lost: \(cause)")
            case .values, .refused, .garbled:
                return await confirm(unit, probe, setting)
            }
        }
        return nil
    }

    /// Units that answer too late to be heard when they are asked: the one before this, whose answer came while this was asked, and
    /// this one, whose first answer came while it was asked for the second time. Both are asked once more then, with time.
    private func slowUnits(
        near unit: Int, _ setting: ScanRequest.Setting, _ found: [Found]
    ) async -> [Found] {
        if unit == request.units.upperBound { await listen() }
        guard isLate, lookBacks < Self.mostLookBacks else { return [] }
        lookBacks += 1
        await settle()
        var slow: [Found] = []
        for late in [unit - 1, unit] where request.units.contains(late) {
            guard !found.contains(where: { $0.unit == late }) else { continue }
            for probe in Self.probes {
                guard let one = await confirm(late, probe, setting) else { continue }
                slow.append(one)
                break
            }
        }
        isLate = false
        return slow
    }

    /// Waits for an answer that no further question would hear.
    private func listen() async {
        guard case .serial = request.transport, !isLate else { return }
        try? await Task.sleep(for: request.patience)
        if port?.hasBytes() == true { isLate = true }
    }

    /// Asks again, with time: what came may have been noise, or the late answer of another unit. Two boards with one unit answer
    /// at the same time, which arrives as bytes that are no answer, or as an answer with more behind it.
    private func confirm(
        _ unit: Int, _ probe: ReadRequest, _ setting: ScanRequest.Setting
    ) async -> Found? {
        var clean = 0
        var garbled = 0
        for turn in 0..<Self.repeats {
            if clean + garbled == 0, turn == Self.silences { break }
            let reading = await ask(unit, probe, within: Self.calmly)
            let isFollowed = await hasMore()
            switch reading {
            case .values, .refused: if isFollowed { garbled += 1 } else { clean += 1 }
            case .garbled: garbled += 1
            case .silent, .lost: break
            }
        }
        guard clean + garbled > Self.repeats / 2 else {
            isLate = true
            if garbled > 0 {
                tell(.remark("unit \(unit) sent bytes without sense once; noise on the line?"))
            }
            return nil
        }
        let isShared = garbled > 1
        guard !isShared else {
            return Found(unit: unit, setting: setting, isShared: true, matches: [])
        }
        let recognition = Recognition(unit: UInt8(unit)) { [self] in
            await ask(unit, $0, within: Self.calmly)
        }
        let matches = await recognition.matches(among: fitting)
        return Found(unit: unit, setting: setting, isShared: false, matches: matches)
    }

    /// Boards with an Ethernet port are not on serial lines.
    private var fitting: [ScanRequest.Candidate] {
        guard case .serial = request.transport else { return request.candidates }
        return request.candidates.filter { !$0.profile.isOnNetwork }
    }

    private func ask(_ unit: Int, _ question: ReadRequest, within limit: Duration) async -> Reading
    {
        try? await Task.sleep(for: gap)
        if port?.hasBytes() == true { isLate = true }
        guard port?.isQuiet() ?? false || reopen() else { return .lost("the connection ended") }
        do throws(PortFailure) {
            guard let values = try port?.read(question, unit: UInt8(unit), within: limit) else {
                return .lost("the connection ended")
            }
            return .values(values)
        } catch {
            return await reading(of: error, within: limit)
        }
    }

    private func reading(of failure: PortFailure, within limit: Duration) async -> Reading {
        switch ModbusPort.fault(of: failure, within: limit) {
        // A gateway's word for a unit that nobody has.
        case .refused(let refusal) where isNetwork && 10...11 ~= refusal.number: return .silent
        case .refused(let refusal): return .refused(refusal.number)
        case .silent:
            // What comes later must not be taken for the answer to the next question: over TCP it ends with the connection.
            if isNetwork { close() }
            return .silent
        case .garbled:
            await settle()
            return .garbled
        case .down(let cause), .notSent(let cause), .halfSent(let cause), .lost(let cause):
            return .lost(cause)
        case .expired: return .silent
        }
    }

    /// Whether more comes behind an answer than belongs to it.
    private func hasMore() async -> Bool {
        guard case .serial = request.transport, let handle = port?.handle else { return false }
        try? await Task.sleep(for: .milliseconds(30))
        var count: CInt = 0
        return ioctl(handle, UInt(FIONREAD), &count) == 0 && count > 0
    }

    /// Lets what still comes come, and throws it away.
    private func settle() async {
        try? await Task.sleep(for: .milliseconds(100))
        port?.flush()
    }

    private func reopen() -> Bool {
        guard case .tcp = request.transport, let setting = request.settings.first else {
            return false
        }
        close()
        do throws(LockerError) { try open(setting) } catch { return false }
        return true
    }

    /// A network board that answers whatever unit it is asked for is one board and not 247.
    private func answersEveryUnit(_ found: [Found]) async -> Bool {
        guard case .tcp = request.transport, found.count == 3,
            found.map(\.unit) == Array(found[0].unit..<found[0].unit + 3)
        else { return false }
        let isAny = await ask(247, Self.probes[0], within: Self.calmly).isAnswer
        if isAny {
            tell(
                .remark("\(endpoint) answers to every unit number: it is one board, unit 1 will do")
            )
        }
        return isAny
    }
}
