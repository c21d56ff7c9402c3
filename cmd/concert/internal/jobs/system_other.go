//go:build !linux

package jobs

import "errors"

// loadAverage returns an error, because only Linux has /proc/loadavg.
func loadAverage() (float64, error) { return 0, errors.ErrUnsupported }

// freeMemory returns an error, because only Linux has /proc/meminfo.
func freeMemory() (int64, error) { return 0, errors.ErrUnsupported }
