import Glibc
import JSONLines
import LockerKit
import SecretFiles
import TowerLink
import TowerTokens

/// Gets what lets into a session: out of a file each time, so that a new key or token needs no restart.
struct TowerAccess: Sendable {
    let plan: TowerPlan
    /// Seconds since 1970.
    let now: @Sendable () -> Int64

    init(_ plan: TowerPlan, now: @escaping @Sendable () -> Int64 = { Int64(time(nil)) }) {
        self.plan = plan
        self.now = now
    }

    /// A token for this tower, and when it ends, where that is known.
    func token() throws(LockerError) -> (token: SessionToken, expires: Int64?) {
        switch plan.access {
        case .keys(let path):
            let file = try read(path) { json throws(KeyFile.Problem) in try KeyFile(json: json) }
            try check(file.tower, path)
            do throws(IssueRefusal) {
                let made = now()
                let token = try TokenIssuer(file.tower, file.ring).sessionToken(
                    [.technician, .owner, .delivery, .sync], client: "lockerd",
                    duration: Limits.tokenDuration, at: made)
                return (token, made + Limits.tokenDuration)
            } catch {
                throw LockerError(.refused, "no token for \(plan.id) out of \(path): \(error)")
            }
        case .token(let path):
            var expires: Int64?
            let token = try read(path) { json throws(KeyFile.Problem) in
                expires = json["expires"]?.intValue.map { Int64($0) }
                return try SessionToken(json: json)
            }
            try check(token.tower, path)
            if let expires, expires <= now() {
                throw LockerError(
                    .refused, "the session token in \(path) is over; \(plan.id) needs a new one")
            }
            return (token, expires)
        }
    }

    private func check(_ tower: TowerID, _ path: String) throws(LockerError) {
        guard tower != plan.tower else { return }
        throw LockerError(
            .refused, "\(path) is of tower \(tower); \(plan.id) is tower \(plan.tower)")
    }

    private func read<Found>(
        _ path: String, _ parse: (JSON) throws(KeyFile.Problem) -> Found
    ) throws(LockerError) -> Found {
        let json: JSON?
        do throws(SecretFile.Problem) {
            json = try SecretFile.read(path)
        } catch {
            throw LockerError(.refused, error.description)
        }
        guard let json else {
            throw LockerError(.refused, "\(path) is not there; it lets into \(plan.id)")
        }
        do throws(KeyFile.Problem) {
            return try parse(json)
        } catch {
            throw LockerError(.refused, "\(path): \(error)")
        }
    }
}
