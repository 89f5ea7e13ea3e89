module github.com/culprit-rca/culprit

go 1.26
