# A day in the life of DBD::Pg. Prints what it saw, a line each: the same from a server and from a proxy in front of it.
# With pg_server_prepare = 0, the default here, the driver puts the values into the statement itself; the fourth argument is another.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:pg_types);

binmode STDOUT, ':encoding(UTF-8)';
my ($host, $port, $database) = @ARGV;

sub show {
    my ($what, @values) = @_;
    print "$what: ", join(' | ', map { !defined $_ ? '(null)' : ref $_ ? '[' . join(', ', map { $_ // '(null)' } @$_) . ']' : $_ } @values), "\n";
}

my $dbh = DBI->connect("dbi:Pg:dbname=$database;host=$host;port=$port", 'postgres', '',
    { RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_server_prepare => $ARGV[3] // 0, pg_enable_utf8 => 1 });
show('server', $dbh->{pg_server_version}, $dbh->{pg_user});

sub refused {
    my ($what, $sql) = @_;
    if (eval { $dbh->do($sql); 1 }) { show($what, 'not refused'); return; }
    show($what, $dbh->state, map { $dbh->pg_error_field($_) } qw(severity message_primary message_detail schema table column constraint statement_position));
}

$dbh->do('SET client_min_messages = warning');
$dbh->do('CREATE TABLE item (id serial PRIMARY KEY, word text UNIQUE, bytes bytea, moment timestamptz, numbers int[], flag boolean)');
my @rows = (
    ["ünïcödé 日本語 'quoted' \\ back", join('', map { chr } 0 .. 255), '2024-02-29 12:00:00.123456+00', '{1,NULL,-3}', 't'],
    ['', '', 'infinity', '{}', 'f'],
    [undef, undef, undef, undef, undef],
);
my $insert = $dbh->prepare('INSERT INTO item (word, bytes, moment, numbers, flag) VALUES (?, ?, ?, ?, ?) RETURNING id');
$insert->bind_param(2, undef, { pg_type => PG_BYTEA });
for my $row (@rows) {
    show('inserted', $insert->execute(@$row), $insert->fetchrow_array);
}
$insert->finish;
my $literal = join ', ', $dbh->quote("it's; \\ ?"), $dbh->quote("\0'", { pg_type => PG_BYTEA });
show('quoted', $dbh->do("INSERT INTO item (word, bytes) VALUES ($literal)"));
show('found', $dbh->selectrow_array('SELECT id FROM item WHERE word = ? AND numbers @> ?', undef, $rows[0][0], [1]));
my $sth = $dbh->prepare('SELECT word, bytes, moment, numbers, flag FROM item ORDER BY id');
$sth->execute;
show('columns', $sth->{NAME}, $sth->{pg_type});
while (my @row = $sth->fetchrow_array) {
    $row[1] = unpack 'H*', $row[1] if defined $row[1];
    show('row', @row);
}
show('hash', join ',', sort keys %{ $dbh->selectall_hashref('SELECT id, flag FROM item', 'id') });

$dbh->begin_work;
show('updated', $dbh->do('UPDATE item SET flag = true WHERE id = 2'));
$dbh->commit;
$dbh->begin_work;
show('deleted', $dbh->do('DELETE FROM item'));
$dbh->rollback;
show('after the rollback', $dbh->selectrow_array('SELECT count(*), count(flag) FROM item'));
$dbh->begin_work;
$dbh->pg_savepoint('one');
refused('unique', "INSERT INTO item (word) VALUES ('')");
refused('failed transaction', 'SELECT 1');
$dbh->pg_rollback_to('one');
$dbh->do("INSERT INTO item (word) VALUES ('behind the savepoint')");
$dbh->pg_release('one');
$dbh->commit;
$dbh->{AutoCommit} = 0;
$dbh->do("INSERT INTO item (word) VALUES ('without autocommit')");
$dbh->rollback;
$dbh->{AutoCommit} = 1;

refused('syntax', "SELECT 'ä', FROM item");
refused('division', 'SELECT 1 / 0');
refused('unknown table', 'TABLE nothing');
show('ping', $dbh->ping);
show('tables', sort $dbh->tables(undef, 'public', undef, 'TABLE'));
show('primary key', $dbh->primary_key(undef, 'public', 'item'));

$dbh->do('CREATE TABLE sheet (n integer PRIMARY KEY, word text)');
$dbh->do('COPY sheet FROM STDIN');
$dbh->pg_putcopydata("$_\tä$_\n") for 1 .. 500;
$dbh->pg_putcopyend;
$dbh->do('COPY (SELECT * FROM sheet WHERE n % 100 = 0 ORDER BY n) TO STDOUT');
my $line = '';
while ($dbh->pg_getcopydata($line) >= 0) { chomp $line; show('copied out', $line); }
$dbh->do('COPY sheet FROM STDIN');
$dbh->pg_putcopydata("1\ttwice\n");
show('COPY refused', $dbh->state) unless eval { $dbh->pg_putcopyend; 1 };
show('left', $dbh->selectrow_array('SELECT count(*), max(word COLLATE "C") FROM sheet'));

$dbh->do('LISTEN bell');
$dbh->do("NOTIFY bell, 'payload'");
my $notification;
for (1 .. 200) { last if $notification = $dbh->pg_notifies; select undef, undef, undef, 0.1; }
show('notification', $notification ? @$notification[0, 2] : undef);
$dbh->disconnect;
