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

    /// A token for this tower.
    func token() throws(LockerError) -> SessionToken {
        switch plan.access {
        case .keys(let path):
            let file = try read(path) { json throws(KeyFile.Problem) in try KeyFile(json: json) }
            try check(file.tower, path)
            do throws(IssueRefusal) {
                return try TokenIssuer(file.tower, file.ring).sessionToken(
                    [.technician, .owner, .sync], client: "lockerd",
                    duration: Limits.tokenDuration, at: now())
            } catch {
                throw LockerError(.refused, "no token for \(plan.id) out of \(path): \(error)")
            }
        case .token(let path):
            let token = try read(path) { json throws(KeyFile.Problem) in
                try SessionToken(json: json)
            }
            try check(token.tower, path)
            return token
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
