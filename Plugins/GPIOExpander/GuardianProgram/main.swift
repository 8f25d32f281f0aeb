import CoilGuardian

GuardianLoop.run()
