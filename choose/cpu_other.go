//go:build !unix

package choose

import "time"

// processCPU is not known here.
func processCPU() time.Duration { return 0 }
