module github.com/culprit-rca/culprit

go 1.26.0

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/yuin/goldmark v1.8.7
	golang.org/x/net v0.60.0
)

require golang.org/x/text v0.42.0 // indirect
