package evidence

import "fmt"

// Counted says how many there are of what has a regular plural: 1 trace, 2 traces.
func Counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
