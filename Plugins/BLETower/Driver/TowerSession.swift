import BLERadio
import TowerLink

/// A connection to a tower and the session on it.
///
/// Calls block, so they belong on the link's thread, one at a time.
final class TowerSession {
    /// The attributes that the tower link uses, which stay as they are for as long as the tower's firmware does.
    struct Attributes: Sendable, Equatable {
        let write: UInt16
        let notify: UInt16
        let configuration: UInt16
        let info: UInt16
    }

    let attributes: Attributes
    private let client: ATTClient
    private let isAliveNow: () -> Bool
    private let dialect: Dialect
    private var framer = PacketFramer()
    private var session: SecureSession?
    /// Nothing that comes from it any more is to be believed, or understood.
    private var isSpoilt = false

    /// Gets ready on a channel that is connected.
    ///
    /// - Parameter known: what an earlier connection has found, which saves looking for it.
    init(
        _ channel: any ATTChannel, isAlive: @escaping () -> Bool, known: Attributes?,
        dialect: Dialect = .own, until end: ContinuousClock.Instant
    ) throws(TowerFault) {
        self.dialect = dialect
        isAliveNow = isAlive
        client = ATTClient(channel)
        do throws(BLEFault) {
            try client.exchangeMTU(until: end)
            if let known {
                attributes = known
            } else {
                attributes = try Self.find(client, until: end)
            }
            try client.subscribe(attributes.configuration, until: end)
        } catch {
            throw TowerFault(error)
        }
    }

    private static func find(
        _ client: ATTClient, until end: ContinuousClock.Instant
    ) throws(BLEFault) -> Attributes {
        guard let list = try client.characteristics(of: .towerService, until: end) else {
            throw .nonsense("it is no tower: it lacks the tower link's service")
        }
        func handle(_ uuid: UUID128, _ property: UInt8) throws(BLEFault) -> Characteristic {
            guard
                let found = list.first(where: { $0.uuid == uuid && $0.properties & property != 0 })
            else { throw .nonsense("it is no tower: its service lacks a characteristic") }
            return found
        }
        let notify = try handle(.towerNotify, Characteristic.canNotify)
        let after = list.map(\.declaration).filter { $0 > notify.value }.min()
        guard
            let configuration = try client.configuration(
                of: notify, before: after.map { $0 - 1 } ?? .max, until: end)
        else { throw .nonsense("it is no tower: it lets nobody ask for notifications") }
        return Attributes(
            write: try handle(.towerWrite, Characteristic.canWriteWithoutResponse).value,
            notify: notify.value, configuration: configuration,
            info: try handle(.towerInfo, Characteristic.canRead).value)
    }

    /// Whether the other side is there, and understood.
    var isAlive: Bool { !isSpoilt && isAliveNow() }
    var hasSession: Bool { session != nil }

    /// Which tower it says it is.
    func tower(until end: ContinuousClock.Instant) throws(TowerFault) -> TowerID {
        do throws(BLEFault) {
            let value = try client.read(attributes.info, until: end)
            if let id = TowerSighting.id(inInfo: value, dialect) { return id }
            throw .nonsense("it does not say which tower it is")
        } catch {
            throw TowerFault(error)
        }
    }

    /// Asks for a session.
    func begin(
        _ token: SessionToken, at now: Int64, until end: ContinuousClock.Instant
    ) throws(TowerFault) {
        session = nil
        client.forgetNotifications()
        framer = PacketFramer()
        let handshake = Handshake(token, at: now, dialect)
        let answer = try exchange(handshake.request, until: end)
        do throws(TowerLinkError) {
            session = try handshake.session(from: answer)
        } catch {
            throw afterSending(TowerFault(error, dialect))
        }
    }

    /// Gives a command and returns the answer.
    func ask(
        _ command: Packet, until end: ContinuousClock.Instant
    ) throws(TowerFault) -> Packet {
        guard var running = session else { throw TowerFault(.away, "there is no session") }
        // What came without being asked for, or too late, is not the answer to this.
        client.forgetNotifications()
        framer = PacketFramer()
        let content: [UInt8]
        do throws(TowerLinkError) {
            content = try running.seal(command)
        } catch {
            throw TowerFault(error, dialect)
        }
        session = running
        let bytes = try exchange(content, until: end)
        do throws(TowerLinkError) {
            let answer = try running.open(bytes)
            session = running
            if answer.message == .error { throw try Handshake.refusal(answer) }
            return answer
        } catch {
            throw afterSending(TowerFault(error, dialect))
        }
    }

    /// Sends the content of a packet and returns that of the next one.
    private func exchange(
        _ content: [UInt8], until end: ContinuousClock.Instant
    ) throws(TowerFault) -> [UInt8] {
        do throws(BLEFault) {
            try client.send(PacketFramer.framed(content), to: attributes.write, until: end)
        } catch {
            // A packet that did not go out whole is none; but what follows it would be taken for its rest.
            isSpoilt = true
            throw TowerFault(error)
        }
        let limit = min(end, ContinuousClock.now + Limits.answer)
        while true {
            do throws(TowerLinkError) {
                if let packet = try framer.next() { return packet }
            } catch {
                throw afterSending(TowerFault(error, dialect))
            }
            do throws(BLEFault) {
                framer.append(try client.notification(of: attributes.notify, until: limit))
            } catch {
                throw afterSending(TowerFault(error))
            }
        }
    }

    /// A fault of a command that has gone out. Whatever is not the tower's own "no" ends the connection: nobody knows what comes next.
    private func afterSending(_ fault: TowerFault) -> TowerFault {
        var fault = fault
        fault.wasSent = true
        if fault.hasLostSession { session = nil }
        if case .refused = fault.kind { return fault }
        isSpoilt = true
        return fault
    }
}
