package scenario

import (
	"errors"
	"fmt"
)

// What the kernel takes as a group's shares.
const (
	fewestShares = 2
	mostShares   = 1 << 18
)

// validateCPU checks what services get of the CPU.
func (f Fault) validateCPU() error {
	for service, cores := range f.Quota {
		if cores <= 0 {
			return fmt.Errorf("quota of %s is not positive", service)
		}
	}
	if f.QuotaAt < 0 || f.QuotaFor < 0 || f.QuotaFor > 0 && f.QuotaAt == 0 {
		return errors.New("quota_for needs a quota_at, and neither is negative")
	}
	for service, n := range f.Shares {
		if n < fewestShares || n > mostShares {
			return fmt.Errorf("%d shares of %s: the kernel takes %d to %d", n, service, fewestShares, mostShares)
		}
	}
	return nil
}
