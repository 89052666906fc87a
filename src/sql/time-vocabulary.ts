/** Words that PostgreSQL's date and time input knows, in lower case. */

/** `datetktbl` of src/backend/utils/adt/datetime.c, but for the words of `timeWords`. */
const tokens = `ad am apr april at aug august bc d dec december dow doy dst epoch feb february fri friday h infinity
  isodow isoyear j jan january jd jul julian july jun june m mar march may mm mon monday nov november oct october on
  pm s sat saturday sep sept september sun sunday t thu thur thurs thursday tue tues tuesday wed wednesday weds y`;

/**
 * Abbreviations of time zones in any of the lists that come with PostgreSQL 18 (share/timezonesets), and the names in
 * pg_timezone_names that are one word.
 */
const zones = `
  acdt acsst acst act acwst adt aedt aesst aest aft akdt akst almst almt amst amt anast anat aqtst aqtt arst art
  ast awsst awst azost azot azst azt bdst bdt bnt bort bot bra brst brt bst btt cadt cast cat cct cdt cest cet
  cetdst chadt chast chost chot chst chut cit ckt clst clt cot cst cuba cvt cwst cxt davt ddut easst east eat ect
  edt eest eet eetdst egst egt egypt eire eit est factory fet fjst fjt fkst fkt fnst fnt galt gamt gb gest get gft
  gilt gmt greenwich gst gyt hadt hast hdt hkt hongkong hovst hovt hst iceland ict idt iot iran irdt irkst irkt
  irst irt israel ist jamaica japan jayt jst kdt kgst kgt kost krast krat kst kwajalein lhdt lhst libya ligt lint
  lkt magst magt mart mawt mdt mest mesz met metdst mez mht mist mmt mpt msd msk mst must mut mvt myt navajo nct
  ndt nft novst novt npt nrt nst nut nz nzdt nzst nzt omsst omst orat pdt pet petst pett pgt phot pht pkst pkt
  pmdt pmst poland pont portugal prc pst pwt pyst pyt qyzt ret roc rok rott sadt sakst sakt samst samt sast sat
  sbt sct sgt singapore sret srt sst syot taht tft tjt tkt tlt tmt tot trut turkey tvt uct ulast ulat universal ut
  utc uyst uyt uzst uzt vet vlast vlat volt vost vut wadt wakt wast wat wdt west wet wetdst wft wgst wgt wib wit
  wita wsdt wsst wst xjt yakst yakt yapt yekst yekt z zulu
`;

const tokenSet = new Set(tokens.split(/\s+/));
const zoneSet = new Set(zones.trim().split(/\s+/));

/** Whether `word`, in lower case, is one of the input's own besides the special ones. */
export function isTimeToken(word: string): boolean {
  return tokenSet.has(word);
}

/** Whether `word`, in lower case, names a time zone by itself. */
export function isZoneName(word: string): boolean {
  return zoneSet.has(word);
}
