import BusKit
package import LockerKit

/// Gives the only board on a line another unit number.
///
/// Factory-fresh boards all have the same number, and an order to change it reaches every one of them. So nothing is written
/// before a scan has found exactly one board, and nothing is believed of the answer: boards are known to answer from the new
/// number, with parts of it zeroed. What counts is who answers afterwards.
package enum UnitAssignment {
    /// - Parameters:
    ///   - request: with one setting; every unit of it is scanned.
    ///   - register: the holding register that the number is written to.
    ///   - consents: asked with the board's present unit before anything is written.
    package static func run(
        _ request: ScanRequest, to: Int, register: Int,
        tell: @escaping @Sendable (Scanner.Event) -> Void, consents: (Int) -> Bool
    ) async throws(LockerError) {
        let from = try onlyUnit(await Scanner(request, tell: tell).run())
        guard from != to else { return }
        guard consents(from) else { throw LockerError(.cancelled, "nothing was written") }
        let writer = UnitWriter(request)
        try await writer.write(from: UInt8(from), to: UInt16(to), register: UInt16(register))
        let new = try await Scanner(request.asking(to...to)) { _ in }.run()
        let old = try await Scanner(request.asking(from...from)) { _ in }.run()
        guard new.map(\.isShared) == [false], old.isEmpty else {
            throw LockerError(
                .refused,
                "unit \(to) was written to register \(register) of unit \(from), and now \(answers(old + new)). Some boards want a restart first: switch it off and on, then scan again"
            )
        }
    }

    private static func onlyUnit(_ found: [Scanner.Found]) throws(LockerError) -> Int {
        guard found.count == 1, !found[0].isShared else {
            throw LockerError(
                .conflict,
                "want exactly one board on the line; \(answers(found)), nothing was written")
        }
        return found[0].unit
    }

    private static func answers(_ found: [Scanner.Found]) -> String {
        guard !found.isEmpty else { return "nobody answers" }
        if let shared = found.first(where: \.isShared) {
            return "several boards answer as unit \(shared.unit)"
        }
        let units = found.map { "\($0.unit)" }.joined(separator: ", ")
        return found.count == 1 ? "unit \(units) answers" : "units \(units) answer"
    }
}

/// Writes one register once.
private actor UnitWriter {
    private nonisolated let queue = DeviceQueue(label: "assign")
    private let request: ScanRequest

    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    init(_ request: ScanRequest) { self.request = request }

    func write(from: UInt8, to: UInt16, register: UInt16) throws(LockerError) {
        let order = CoilOrder(unit: from, function: .register, address: register, value: to)
        var transport = request.transport
        if case .serial(let serial) = transport {
            transport = .serial(ScanRequest.serial(serial.device, request.settings[0]))
        }
        do throws(PortFailure) {
            var port = try ModbusPort(transport)
            try port.open(within: .seconds(3), deliveringFor: .seconds(1))
            defer { port.close() }
            // What the board says to that is not to be relied on, and it may say nothing; a refusal is.
            guard let frame = try? port.exchange(order.bytes, within: .seconds(1)),
                case .exception(let code) = order.verdict(on: frame, port.framing),
                case .refused(let refusal) = Fault.exception(code)
            else { return }
            throw PortFailure(step: .receive, errno: ModbusPort.errno(ofException: refusal.number))
        } catch {
            guard case .refused(let refusal) = ModbusPort.fault(of: error, within: .seconds(1))
            else { throw LockerError(.linkDown, "nothing was written: \(error.words)") }
            throw LockerError(
                .refused, "unit \(from) refused to be given another number: \(refusal.words)")
        }
    }
}
