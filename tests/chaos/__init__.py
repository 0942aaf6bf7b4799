"""What a run meets in a week: processes that die, records that kill, disks that fill, clusters that go."""
