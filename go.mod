module github.com/culprit-rca/culprit

go 1.26

require (
	github.com/yuin/goldmark v1.8.7 // indirect
	golang.org/x/net v0.56.0 // indirect
)
