package jobs

import "concert/cmd/concert/internal/jobs/supervisor"

// suspend does nothing: consoles have no Ctrl-Z that stops a process.
func suspend(*supervisor.Supervisor) (end func()) { return func() {} }
