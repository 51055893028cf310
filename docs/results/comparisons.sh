#!/usr/bin/env bash
# comparisons.sh [results-quick|results|results-others] [FOLDER]: the paper's comparisons.
#
# Trains on train and evaluates on val of the VOC data in $FRCNN_DATA; the test split is not read.
#   results-quick   one model of 1,000 iterations, evaluated in several ways: half an hour
#   results         four comparisons with 3,000 iterations, seeds 0 and 1
#   results-others  comparisons of backbones, proposals and ranks, 1,000 iterations, seed 0
# All of them skip what exists and resume what was interrupted, so that a second call repeats
# nothing. docs/results/table.py prints the existing results.
set -euo pipefail
target=${1:-results-quick} folder=${2:-results} frcnn=${FRCNN:-frcnn}
proposals=${PROPOSALS:-$folder/selective-search.proposals}
opencv=${OPENCV_PROPOSALS:-$folder/opencv.proposals} dense=$folder/dense.proposals
mixed=$folder/mixed.proposals python=${PYTHON:-$(dirname "$(command -v "$frcnn")")/python}
# The schedule of lite. The paper has one head, suppression at 0.3 and no box voting.
paper=(--backbone efficientnet_lite0 --variant one-head --split train --scale 400
       --set detect.nms_iou=0.3 --set detect.box_voting=0 --set detect.max_per_class=100
       --checkpoint-every 250)
one_scale=(--set 'sampling.scales=[]')  # it would replace the scales of the variant multiscale

# use FOLDER ITERATIONS SEED: the folder and schedule of the next runs
use() {
	runs=$1
	schedule=("${paper[@]}" --iterations "$2" --seed "$3")
	mkdir -p "$runs"
}

# propose FILE [OPTION ...]: compute proposals of train and val, unless FILE exists
propose() { test -e "$1" || "$frcnn" propose voc2007 --split trainval --out "$@"; }

# learn NAME FILE [OPTION ...]: train a detector with proposals from FILE
learn() {
	local run=$runs/$1 file=$2
	shift 2
	if test -e "$run/model.safetensors"; then return; fi
	if test -e "$run"; then "$frcnn" train --resume "$run"; return; fi
	"$frcnn" train voc2007 "${schedule[@]}" --proposals "$file" --allow-mismatch --out "$run" "$@"
}

# score NAME RUN FILE [OPTION ...]: evaluate RUN on val; NAME.json, and detections for intervals
score() {
	local results=$runs/$1.json run=$runs/$2 file=$3
	local found=${results%.json}.detections.json
	shift 3
	test -e "$results" || "$frcnn" eval "$run" voc2007 --split val --save-detections "$found" \
		--proposals "$file" --allow-mismatch --json "$results" "$@"
}

# compare NAME FILE [OPTION ...]: train and evaluate
compare() { learn "$@"; score "$1" "$1" "$2"; }

# svms NAME [OPTION ...]: the network of the base, unchanged by one step at a negligible rate, then
# SVMs on its fc7
svms() {
	local name=$1
	shift
	compare "$name" "$proposals" "${one_scale[@]}" --init "$runs/base" \
		--iterations 1 --learning-rate 1e-12 --set train.averaging=0 "$@"
}

# counts NAME FILE N,N,...: evaluate the base with the first N proposals of FILE
counts() {
	test -e "$runs/$1.json" || "$frcnn" eval "$runs/base" voc2007 --split val \
		--proposals "$2" --allow-mismatch --sweep "proposals=$3" \
		--plot "$runs/$1.png" --json "$runs/$1.json"
}

# four: the comparisons with fixed layers, single tasks, SVMs and several scales; and the mAP of
# the base by the number of proposals, with random dense boxes beside them
four() {
	compare base "$proposals" "${one_scale[@]}"
	score boxes-left base "$proposals" --no-box-regression
	score five-at-test base "$proposals" --scales 320,384,458,576,800
	compare fc-only "$proposals" "${one_scale[@]}" --variant fc-only
	compare no-bbox-reg "$proposals" "${one_scale[@]}" --variant no-bbox-reg
	svms svm --variant svm
	compare multiscale "$proposals" --variant multiscale
	counts sweep "$proposals" 300,1000,2000,5000
	counts mixed "$mixed" 2000,3000,5000
}

# compress NAME FILE: evaluate with fc6 and fc7 at rank 64 and write NAME-64.json
compress() {
	test -e "$runs/$1/rank-64.safetensors" ||
		"$frcnn" compress "$runs/$1" --svd-rank 64 --out "$runs/$1/rank-64.safetensors"
	score "$1-64" "$1/rank-64.safetensors" "$2"
}

quick() {
	compare base "$proposals" "${one_scale[@]}"
	score boxes-left base "$proposals" --no-box-regression
	score voting base "$proposals" --box-voting 0.5
	counts sweep "$proposals" 300,1000,2000
}

others() {
	local larger
	for larger in efficientnet_lite1 efficientnet_lite2; do
		compare "$larger" "$proposals" "${one_scale[@]}" --backbone "$larger"
	done
	# The first stage is the run without box regression; the second adds the box layer.
	compare stagewise "$proposals" "${one_scale[@]}" --variant stagewise
	for count in 300 1000; do
		compare "$count" "$proposals" "${one_scale[@]}" \
			--set "train.proposals=$count" --set "detect.proposals=$count"
	done
	svms svm --variant svm
	svms svm-r-cnn --set train.classifier=svm # R-CNN's weight of positives in every class
	propose "$opencv" --source opencv-selective-search
	compare opencv "$opencv" "${one_scale[@]}"
	# Evaluating about 45,000 boxes per image takes too long without a compressed head; so both
	# are compressed.
	propose "$dense" --source dense
	learn dense "$dense" "${one_scale[@]}" --variant dense
	compress base "$proposals"
	compress dense "$dense"
}

mkdir -p "$folder"
propose "$proposals"
case $target in
results-quick) use "$folder/quick" 1000 0; quick ;;
results)
	test -e "$mixed" || "$python" "$(dirname "$0")/mixed.py" "$proposals" "$mixed"
	for seed in 0 1; do use "$folder/seed-$seed" 3000 "$seed"; four; done ;;
results-others) use "$folder/quick" 1000 0; quick; others ;;
*) echo "Unknown target $target." >&2; exit 2 ;;
esac
