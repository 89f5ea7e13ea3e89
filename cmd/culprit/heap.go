package main

import "os"

// heapRoom is how far the heap may grow beyond what Go's garbage collector
// would allow by itself, in bytes.
const heapRoom = 256 << 20

var ballast []byte

// widenHeap saves a process that reads, judges and ends most rounds of the
// garbage collector: its heap may be twice what lives, and heapRoom more. The
// room is a list that nobody writes to, which takes addresses and no memory. Who
// set the collector by GOGC or GOMEMLIMIT is obeyed.
func widenHeap() {
	if ballast == nil && os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, heapRoom)
	}
}
