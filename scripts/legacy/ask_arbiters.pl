#!/usr/bin/perl
# An old script in Perl without any module but the core's: it takes the JSON apart by itself, logs in to every arbiter
# and prints a verdict. The host keys of the arbiters lie in known_hosts beside this file.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Temp;

my $json = `jmp-dr api v1 config --include role,core,watchdog`;
die "ERROR: no configuration\n" if $? != 0;
my ($role) = $json =~ /"role":\s*"(\w+)"/;
my ($peer) = $json =~ /"peerVip":\s*"([^"]+)"/;
my ($list) = $json =~ /"arbiters":\s*\[(.*?)\]/s;
my ($total, $reached, $managed) = (0, 0, 0);
for my $arbiter ($list =~ /\{(.*?)\}/sg) {
    my %of = $arbiter =~ /"(\w+)":\s*"?((?:[^"\\,]|\\.)*)"?/g;
    $total++;
    my $key = File::Temp->new();
    $of{privateKey} =~ s/\\n/\n/g;
    print $key "$of{privateKey}\n";
    $key->flush;
    my @ssh = ('ssh', '-n', '-i', $key->filename, '-p', $of{port}, '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=3',
        '-o', 'UserKnownHostsFile=' . dirname($0) . '/known_hosts', "$of{username}\@$of{host}", "ss -Htn 'sport = :22'");
    open(my $seen, '-|', @ssh) or next;
    my $sessions = join '', <$seen>;
    close($seen) or next;
    $reached++;
    $managed++ if index($sessions, $peer) >= 0;
}
my $action = 'nothing';
$action = 'beStandby' if $role eq 'active' && $reached == 0;
$action = 'beActive' if $role eq 'standby' && $total > 0 && $reached == $total && $managed == 0;
print qq({"state":"$role","action":"$action",),
    qq("description":"perl: $reached of $total arbiters reached, $managed managed","payload":{"waitTime":""}}\n);
